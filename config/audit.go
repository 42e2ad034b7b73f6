package config

import (
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/audit"
)

// audit reads where the audit file is, and what happens when it cannot be written.
func (d *document) audit(n *yaml.Node) audit.Settings {
	given := d.fields(n, "audit", "file", "on_failure")
	file, _ := d.text(given["file"], "file")
	if n != nil && !filepath.IsAbs(file) {
		d.wrong(n.Line, "audit needs a file with an absolute path, such as file: /var/log/berth/audit.jsonl")
	}
	what, ok := d.text(given["on_failure"], "on_failure")
	if ok && what != "refuse" && what != "go_on" {
		d.wrong(given["on_failure"].Line, "on_failure must be refuse or go_on")
	}
	return audit.Settings{File: file, GoOn: what == "go_on"}
}
