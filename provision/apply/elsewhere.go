package apply

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/printable"
)

// Report is the command of this program that prints as JSON what a box has. A
// provision elsewhere runs it where the box's files are.
const Report = "report"

const (
	reportRepository = "berth/report"
	reportRoot       = "/box"
	reportTimeout    = 3 * time.Minute // a driver may take a minute, and this program has to be copied there
	maxReport        = 64 << 20
	maxComplaint     = 300 // runes
	removeTimeout    = 10 * time.Second
)

// readElsewhere reads a box by running this program in a container there, which sees
// the box's files, devices and processes. Only its image stays, for the next time.
// What could not be read is noted in the box.
func readElsewhere(ctx context.Context, api *client.Client, engine box.Engine) box.Box {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	report, err := reportFrom(ctx, api)
	if err != nil {
		why := "the engine's box cannot be asked from here: " + printable.Line(err.Error(), maxComplaint)
		return box.Box{Engine: engine, NoGPUs: why, NoCores: why}
	}
	return report.Box(engine)
}

func reportFrom(ctx context.Context, api *client.Client) (box.Report, error) {
	var report box.Report
	image, err := ensureReportImage(ctx, api)
	if err != nil {
		return report, err
	}
	out, err := runReport(ctx, api, image)
	if err != nil {
		return report, err
	}
	return report, json.Unmarshal(out, &report)
}

// ensureReportImage returns the image that contains only this program. It loads the
// image into the engine unless it is there, and removes those of other versions.
func ensureReportImage(ctx context.Context, api *client.Client) (string, error) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(program)
	name := reportRepository + ":" + hex.EncodeToString(sum[:])[:12]
	if _, err := api.ImageInspect(ctx, name); !errdefs.IsNotFound(err) {
		return name, err
	}
	var files bytes.Buffer
	archive := tar.NewWriter(&files)
	err = archive.WriteHeader(&tar.Header{Name: "provision", Mode: 0o755, Size: int64(len(program))})
	if err == nil {
		_, err = archive.Write(program)
	}
	if err := errors.Join(err, archive.Close()); err != nil {
		return "", err
	}
	imported, err := api.ImageImport(ctx, client.ImageImportSource{Source: &files, SourceName: "-"}, name, client.ImageImportOptions{})
	if err != nil {
		return "", err
	}
	defer imported.Close()
	if _, err := io.Copy(io.Discard, imported); err != nil {
		return "", err
	}
	removeOldReports(ctx, api, name)
	return name, nil
}

// removeOldReports removes the images of other versions, except one that is in use.
func removeOldReports(ctx context.Context, api *client.Client, current string) {
	list, err := api.ImageList(ctx, client.ImageListOptions{Filters: make(client.Filters).Add("reference", reportRepository)})
	if err != nil {
		return
	}
	for _, image := range list.Items {
		if len(image.RepoTags) == 1 && image.RepoTags[0] != current {
			api.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{})
		}
	}
}

// runReport runs the image and returns its output. The container can read the box's
// files, open devices (as the driver's tool does) and see every process. It has no
// GPU of the engine, and no network.
func runReport(ctx context.Context, api *client.Client, image string) ([]byte, error) {
	created, err := api.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{
			Image: image, Cmd: []string{"/provision", Report, "--root", reportRoot}, User: "0",
			Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, Labels: map[string]string{labels.GPUMemory: labels.NoGPU},
		},
		HostConfig: &container.HostConfig{
			Mounts:      []mount.Mount{{Type: mount.TypeBind, Source: "/", Target: reportRoot, ReadOnly: true}},
			PidMode:     "host",
			NetworkMode: "none",
			CapAdd:      []string{"SYS_PTRACE"}, // to read whose processes are on a GPU
			SecurityOpt: []string{"apparmor=unconfined"},
			Resources:   container.Resources{DeviceCgroupRules: []string{"c *:* rw"}},
		},
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		api.ContainerRemove(ctx, created.ID, client.ContainerRemoveOptions{Force: true})
	}()
	attached, err := api.ContainerAttach(ctx, created.ID, client.ContainerAttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err != nil {
		return nil, err
	}
	defer attached.Close()
	defer context.AfterFunc(ctx, attached.Close)()
	if _, err := api.ContainerStart(ctx, created.ID, client.ContainerStartOptions{}); err != nil {
		return nil, err
	}
	var out, said bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &said, io.LimitReader(attached.Reader, maxReport)); err != nil {
		return nil, err
	}
	if said.Len() > 0 {
		return nil, errors.New(strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}
