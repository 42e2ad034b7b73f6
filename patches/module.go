package patches

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// added has our own files for the module's packages, as _package/file.go.
//
//go:embed _ssh/*.go
var added embed.FS

// folder is the directory of the edited copy and of the other go.mod, below the root
// of our module. Git ignores it.
const folder = ".patched"

// Make writes the edited copy of the module and a go.mod that replaces the module by
// it, and returns the path of that go.mod, for -modfile. root is the directory of our
// own go.mod. It is quick if nothing has changed, and may run several times at once.
func Make(root string) (string, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	module, err := download(root)
	if err != nil {
		return "", err
	}
	copied := filepath.Join(folder, fmt.Sprintf("crypto@%s-%s", module.Version, digest(module)))
	if err := writeCopy(module.Dir, filepath.Join(root, copied)); err != nil {
		return "", fmt.Errorf("editing %s %s: %w", Module, module.Version, err)
	}
	return writeModFile(root, copied)
}

// module is the output of "go mod download -json".
type module struct {
	Version string
	Dir     string
	Sum     string
	Error   string
}

// download returns the module that our own go.mod pins, verified by go.sum.
func download(root string) (module, error) {
	var m module
	out, err := goCommand(root, "mod", "download", "-modfile=go.mod", "-json", Module)
	if err == nil || len(out) > 0 {
		err = errors.Join(err, json.Unmarshal(out, &m))
	}
	if err == nil && m.Error != "" {
		err = errors.New(m.Error)
	}
	return m, err
}

// digest returns a text that differs between any two edited copies.
func digest(m module) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\n%+v\n%v\n", m.Sum, all(), sums())
	for _, file := range addedFiles() {
		text, _ := added.ReadFile(file)
		hash.Write(text)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12]
}

func addedFiles() []string {
	files, _ := fs.Glob(added, "_*/*.go") // the pattern is well formed
	return files
}

// writeCopy makes the whole copy, or nothing of it.
func writeCopy(from, to string) error {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	unfinished, err := os.MkdirTemp(filepath.Dir(to), "unfinished-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(unfinished)
	tree := filepath.Join(unfinished, "tree") // with an ordinary folder's mode
	if err := os.CopyFS(tree, os.DirFS(from)); err != nil {
		return err
	}
	if err := editTree(tree); err != nil {
		return err
	}
	err = os.Rename(tree, to)
	if errors.Is(err, fs.ErrExist) { // another process was first
		return nil
	}
	return err
}

// editTree makes all edits.
func editTree(tree string) error {
	byFile := make(map[string][]edit)
	for _, p := range all() {
		for _, e := range p.edits {
			byFile[e.file] = append(byFile[e.file], e)
		}
	}
	for file, edits := range byFile {
		if err := editFile(filepath.Join(tree, file), sums()[file], edits); err != nil {
			return err
		}
	}
	for _, file := range addedFiles() {
		text, err := added.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(tree, strings.TrimPrefix(file, "_")), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func editFile(path, sum string, edits []edit) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if is := fmt.Sprintf("%x", sha256.Sum256(source)); is != sum {
		return fmt.Errorf("%s has SHA-256 %s: the edits in patches/edits.go were written for %s", edits[0].file, is, sum)
	}
	edited, err := apply(source, edits)
	if err != nil {
		return err
	}
	return os.WriteFile(path, edited, 0o644)
}

// writeModFile writes the other go.mod, and the go.sum beside it.
func writeModFile(root, copied string) (string, error) {
	mod, err := goCommand(root, "mod", "edit", "-print", "-replace", Module+"=./"+filepath.ToSlash(copied), "go.mod")
	if err != nil {
		return "", err
	}
	sum, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		return "", err
	}
	to := filepath.Join(root, folder, "go.mod")
	return to, errors.Join(writeIfOther(filepath.Join(root, folder, "go.sum"), sum), writeIfOther(to, mod))
}

// writeIfOther writes a file unless it already has that text. A concurrent reader
// finds either the old text or the new one.
func writeIfOther(path string, text []byte) error {
	if was, err := os.ReadFile(path); err == nil && bytes.Equal(was, text) {
		return nil
	}
	unfinished, err := os.CreateTemp(filepath.Dir(path), "unfinished-")
	if err != nil {
		return err
	}
	defer os.Remove(unfinished.Name())
	_, err = unfinished.Write(text)
	if err := errors.Join(err, unfinished.Chmod(0o644), unfinished.Close()); err != nil {
		return err
	}
	return os.Rename(unfinished.Name(), path)
}

// goCommand runs the go command, with its complaints on our stderr.
func goCommand(root string, args ...string) ([]byte, error) {
	command := exec.Command("go", args...)
	command.Dir = root
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		err = fmt.Errorf("go %s: %w", strings.Join(args[:2], " "), err)
	}
	return out, err
}
