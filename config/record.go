package config

import (
	"fmt"
	"path"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/recording"
)

const (
	defaultKeepRecordings = 90 * 24 * time.Hour
	maxKeepRecordings     = 10 * 365 * 24 * time.Hour
)

// record reads which terminals are recorded, and where.
func (d *document) record(n *yaml.Node) recording.Settings {
	given := d.fields(n, "record", "dir", "hosts", "on_failure", "keep", "max_size")
	dir, _ := d.text(given["dir"], "dir")
	if n != nil && !filepath.IsAbs(dir) {
		d.wrong(n.Line, "record needs a dir with an absolute path, such as dir: /var/lib/berth/recordings")
	}
	what, ok := d.text(given["on_failure"], "on_failure")
	if ok && what != "refuse" && what != "go_on" {
		d.wrong(given["on_failure"].Line, "on_failure must be refuse or go_on")
	}
	keep, ok := d.time(given["keep"], "keep", maxKeepRecordings, fmt.Sprintf("must be a time from 1s to 87600h; write %v", defaultKeepRecordings))
	if !ok {
		keep = defaultKeepRecordings
	}
	return recording.Settings{Dir: dir, Hosts: d.patterns(given["hosts"]), Keep: keep, MaxSize: d.size(given["max_size"], "max_size"), GoOn: what == "go_on"}
}

func (d *document) patterns(n *yaml.Node) (patterns []string) {
	d.list(n, "hosts", func(item *yaml.Node) {
		pattern, ok := d.text(item, "a host")
		if _, err := path.Match(pattern, ""); err != nil {
			d.wrong(item.Line, "a host must be a name, or a pattern such as gpu-*")
		} else if ok {
			patterns = append(patterns, pattern)
		}
	})
	return patterns
}

// size reads a number of bytes; 0 if none is given.
func (d *document) size(n *yaml.Node, what string) int64 {
	text, ok := d.text(n, what)
	if !ok {
		return 0
	}
	size, err := units.RAMInBytes(text)
	if err != nil || size <= 0 {
		d.wrong(n.Line, "%s must be a size; write 10GiB", what)
	}
	return size
}
