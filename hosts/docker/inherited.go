package docker

import (
	"context"
	"maps"
	"strings"

	"github.com/berth-ssh/berth/labels"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
)

// ownLabels returns a container's labels without those of its image: the author of an
// image must not choose hosts' names or the grants by which they are entered. A
// container of provision has its image's id in a label, which no image can contain
// for itself, and has all of Berth's labels from provision. Docker compose's labels
// are also on images that compose has built, but compose sets more of them on its
// containers.
func (s *Source) ownLabels(ctx context.Context, image string, on map[string]string) (map[string]string, error) {
	if image == "" {
		return on, nil
	}
	inherited, err := s.imageLabels(ctx, image)
	if err != nil || len(inherited) == 0 {
		return on, err
	}
	isInherited := func(name, value string) bool {
		ofImage, has := inherited[name]
		return has && ofImage == value
	}
	byProvision, byCompose := on[labels.Image] == image, false
	for name, value := range on {
		byCompose = byCompose || strings.HasPrefix(name, labels.ComposePrefix) && !isInherited(name, value)
	}
	own := maps.Clone(on)
	maps.DeleteFunc(own, func(name, value string) bool {
		isKept := byProvision && strings.HasPrefix(name, labels.Prefix) || byCompose && strings.HasPrefix(name, labels.ComposePrefix)
		return !isKept && isInherited(name, value)
	})
	return own, nil
}

// imageLabels returns the labels of an image. It asks once for each image, since an
// id stands for its content. An image that is gone while its container exists has
// none.
func (s *Source) imageLabels(ctx context.Context, id string) (map[string]string, error) {
	if known, ok := s.images[id]; ok {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	image, err := s.engine.ImageInspect(ctx, id)
	switch {
	case errdefs.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var on map[string]string
	if image.Config != nil {
		on = image.Config.Labels
	}
	s.images[id] = on
	return on, nil
}

// foundByList returns the containers with labels, in the engine's list. It asks again
// for the images, so that those which are gone are not kept.
func (s *Source) foundByList(ctx context.Context, list client.ContainerListResult) ([]found, error) {
	clear(s.images)
	var all []found
	for _, item := range list.Items {
		own, err := s.ownLabels(ctx, item.ImageID, item.Labels)
		if err != nil {
			return nil, err
		}
		all = append(all, foundInList(item, own))
	}
	return all, nil
}

// look asks the engine for a container.
func (s *Source) look(ctx context.Context, id string) (found, error) {
	in, err := s.inspect(ctx, id)
	if err != nil {
		return found{}, err
	}
	own, err := s.ownLabels(ctx, in.Image, in.Config.Labels)
	return foundByInspect(in, own), err
}
