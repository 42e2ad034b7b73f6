package compose

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// ImportedFrom is a key of x-berth at the top of a file that import wrote: the name
// of the file that it was made from.
const ImportedFrom = "imported_from"

// ReplacedBy returns the file that import made of the project's only file, and that
// stands beside it; "" where there is none. To go on with the old file takes the
// hosts back to what they were.
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

// withoutChoice leaves out compose-go's word on which of two files it took, where
// the one that it did not take is what import made the other from.
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
