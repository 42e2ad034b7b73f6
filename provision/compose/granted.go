package compose

import (
	"cmp"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// Where compose puts a secret or config whose target is not absolute.
const (
	secretsDir = "/run/secrets"
	configsDir = "/"
)

// mountGranted adds the files of secrets and configs that the service names to its
// volumes, each read-only, as docker compose does. It mounts the box's own file, which
// therefore reaches no image, no label, no variable and no layer of the container.
func (b *builder) mountGranted() {
	for _, s := range b.compose.Secrets {
		b.grant("secrets", secretsDir, types.FileReferenceConfig(s), types.FileObjectConfig(b.Secrets[s.Source]))
	}
	for _, c := range b.compose.Configs {
		b.grant("configs", configsDir, types.FileReferenceConfig(c), types.FileObjectConfig(b.Configs[c.Source]))
	}
}

// grant adds one file. The name of a secret or config, and no value, is in what it says.
func (b *builder) grant(key, dir string, granted types.FileReferenceConfig, from types.FileObjectConfig) {
	target := cmp.Or(granted.Target, granted.Source)
	if !path.IsAbs(target) {
		target = path.Join(dir, target)
	}
	name := strings.TrimSuffix(key, "s") + " " + granted.Source
	switch {
	case b.isMounted(target): // by volumes, which say more
		return
	case from.File == "":
		b.warnAt(key, "%s left out: it has no file: of its own; put it into one, which is mounted", name)
		return
	case !b.guard().here:
		b.warnAt(key, "%s left out: its file is on this machine, and the engine is not", name)
		return
	}
	if info, err := os.Stat(from.File); err != nil || !info.Mode().IsRegular() {
		b.errs = append(b.errs, fmt.Errorf("%s: %s is no file here", name, ShortPath(from.File)))
		return
	}
	if granted.UID != "" || granted.GID != "" || granted.Mode != nil {
		b.warnAt(key, "%s: uid, gid and mode are those of its file, as with docker compose", name)
	}
	b.compose.Volumes = append(slices.Clone(b.compose.Volumes), types.ServiceVolumeConfig{
		Type: types.VolumeTypeBind, Source: from.File, Target: target, ReadOnly: true, Bind: &types.ServiceVolumeBind{},
	})
}
