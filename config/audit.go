package config

import (
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/audit"
)

// audit reads where the audit file is, whether the journal also gets the events, and
// what happens when they cannot be written.
func (d *document) audit(n *yaml.Node) audit.Settings {
	given := d.fields(n, "audit", "file", "journal", "on_failure")
	file, _ := d.text(given["file"], "file")
	journal := ""
	if d.yes(given["journal"], "journal", false) {
		journal = audit.JournalSocket
	}
	if n != nil && !filepath.IsAbs(file) && (file != "" || journal == "") {
		d.wrong(n.Line, "audit needs a file with an absolute path, such as file: /var/log/berth/audit.jsonl, or journal: yes")
	}
	what, ok := d.text(given["on_failure"], "on_failure")
	if ok && what != "refuse" && what != "go_on" {
		d.wrong(given["on_failure"].Line, "on_failure must be refuse or go_on")
	}
	return audit.Settings{File: file, Journal: journal, GoOn: what == "go_on"}
}
