package patches

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestMake: Make may run several times at once, and refuses versions for which the
// edits were not written.
func TestMake(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			path, err := Make(root)
			if err != nil || path != filepath.Join(root, folder, "go.mod") {
				t.Errorf("%q, %v", path, err)
			}
		})
	}
	all.Wait()
	entries, err := os.ReadDir(filepath.Join(root, folder))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 3 {
		t.Errorf("there is more than a copy, go.mod and go.sum: %v", entries)
	}
	text, err := os.ReadFile(filepath.Join(root, folder, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "replace "+Module+" => ./"+folder+"/crypto@") {
		t.Errorf("go.mod replaces nothing:\n%s", text)
	}
}

// TestAnotherTextIsNotEdited: a file that upstream has changed is not edited.
func TestAnotherTextIsNotEdited(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.go")
	if err := os.WriteFile(path, []byte("package a\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := editFile(path, "12ab", []edit{{file: "a/a.go"}})
	if err == nil || !strings.Contains(err.Error(), "a/a.go has SHA-256 ") || !strings.HasSuffix(err.Error(), "written for 12ab") {
		t.Error(err)
	}
}

func TestEveryPatchIsTestedAndEveryFileKnown(t *testing.T) {
	tests, err := os.ReadFile("edits_test.go")
	if err != nil {
		t.Fatal(err)
	}
	edited := make(map[string]bool)
	for _, p := range all() {
		if !strings.Contains(string(tests), "\nfunc "+p.test+"(") {
			t.Errorf("%s: there is no %s", p.fault, p.test)
		}
		if p.fault == "" || p.issue == "" {
			t.Errorf("a patch without its fault or its issue: %+v", p)
		}
		for _, e := range p.edits {
			edited[e.file] = true
		}
	}
	is, known := slices.Sorted(maps.Keys(edited)), slices.Sorted(maps.Keys(sums()))
	if !slices.Equal(is, known) {
		t.Errorf("edited are %v, and sums has %v", is, known)
	}
}

func TestApply(t *testing.T) {
	const source = `package a

type kind struct {
	first int
	last  int
}

func (k *kind) method() {
	work()
	defer work()
}

func function() {
	if work(); true {
		other(1,
			2)
	}
}
`
	for _, c := range []struct {
		name string
		edit edit
		want string // what is new in the source, or the error
	}{
		{"before a statement", edit{in: "function", at: "other(", before: "mine()\n"}, "\t\tmine()\n\t\tother(1,\n"},
		{"after all of it", edit{in: "function", at: "other(", after: "\nmine()"}, "\t\t\t2)\n\t\tmine()\n"},
		{"instead of words", edit{in: "kind.method", at: "defer work", instead: "go mine"}, "\tgo mine()\n"},
		{"a field", edit{in: "kind", at: "last", before: "mine int\n"}, "\tmine  int\n\tlast  int\n"},
		{"not once", edit{in: "kind.method", at: "work", before: "mine()"}, `kind.method: "work" stands there 2 times, not once`},
		{"no statement", edit{in: "function", at: "2)", before: "mine()"}, `function: no statement begins with "2)"`},
		{"no declaration", edit{in: "method", at: "work", before: "mine()"}, "method: no such declaration"},
		{"no Go any more", edit{in: "function", at: "other(", before: "mine("}, "missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := apply([]byte(source), []edit{c.edit})
			if text := string(got) + errorText(err); !strings.Contains(text, c.want) {
				t.Errorf("%q is not in %q", c.want, text)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
