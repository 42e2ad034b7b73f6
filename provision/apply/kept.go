package apply

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/provision/plan"
)

// ObserveKept returns the images of what was written in containers that none of these
// containers, which are all on the engine, is made from; the oldest first.
func ObserveKept(ctx context.Context, api *client.Client, containers []plan.Container) ([]plan.KeptImage, error) {
	list, err := api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", keptRepository)})
	if err != nil {
		return nil, err
	}
	left := slices.DeleteFunc(list.Items, func(i image.Summary) bool {
		return slices.ContainsFunc(containers, func(c plan.Container) bool { return c.ImageID == i.ID })
	})
	if len(left) == 0 {
		return nil, nil
	}
	all, err := inspectImages(ctx, api)
	if err != nil {
		return nil, err
	}
	var found []plan.KeptImage
	for _, i := range left {
		for _, ref := range i.RepoTags {
			if tag, isKept := strings.CutPrefix(ref, keptRepository+":"); isKept {
				host := tag[:max(0, strings.LastIndexByte(tag, '.'))]
				found = append(found, plan.KeptImage{Ref: ref, Host: host, Until: time.Unix(i.Created, 0), Size: all.own(i.ID)})
			}
		}
	}
	slices.SortFunc(found, func(a, b plan.KeptImage) int { return a.Until.Compare(b.Until) })
	return found, nil
}

// images are all on an engine, by id.
type images map[string]client.ImageInspectResult

func inspectImages(ctx context.Context, api *client.Client) (images, error) {
	list, err := api.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return nil, err
	}
	all := images{}
	for _, i := range list.Items {
		inspected, err := api.ImageInspect(ctx, i.ID)
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, err
		}
		if err == nil {
			all[i.ID] = inspected
		}
	}
	return all, nil
}

// own is how much of an image, in bytes, none of those has that it is made from.
func (l images) own(id string) int64 {
	of, shared := l[id], int64(0)
	for other, is := range l {
		if n := len(is.RootFS.Layers); other != id && n <= len(of.RootFS.Layers) && slices.Equal(is.RootFS.Layers, of.RootFS.Layers[:n]) {
			shared = max(shared, is.Size)
		}
	}
	return max(0, of.Size-shared)
}
