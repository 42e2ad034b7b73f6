package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ImportedFrom is a top-level key of x-berth in a file that import wrote: the name of
// the file that it was made from.
const ImportedFrom = "imported_from"

// ReplacedBy returns the file beside the project's only file that import made from
// it; "" if there is none. Using the old file again would take the hosts back to
// their former state.
func (p *Project) ReplacedBy() string {
	if len(p.Sources) != 1 {
		return ""
	}
	path := p.Sources[0].Path
	beside, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*.yaml"))
	if err != nil {
		return ""
	}
	for _, other := range beside {
		if other != path && importedFrom(other) == filepath.Base(path) {
			return other
		}
	}
	return ""
}

// withoutChoice leaves out compose-go's warning about which of two files it took, if
// import made the one from the other.
func (p *Project) withoutChoice(warnings []string) []string {
	if len(p.Sources) != 1 || importedFrom(p.Sources[0].Path) == "" {
		return warnings
	}
	return slices.DeleteFunc(slices.Clone(warnings), func(warning string) bool {
		return strings.HasPrefix(warning, "Found multiple config files") || strings.HasPrefix(warning, "Using ")
	})
}

func importedFrom(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	var file struct {
		Berth map[string]any `yaml:"x-berth"`
	}
	if yaml.Unmarshal(text, &file) != nil {
		return ""
	}
	from, _ := file.Berth[ImportedFrom].(string)
	return from
}
