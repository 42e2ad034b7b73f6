// Package backup puts what a box keeps for Berth into one encrypted file, and back.
//
// The file is a gzipped tar, encrypted with a passphrase in the format of age
// (age-encryption.org/v1), so that other programs can open it, too:
//
//	age --decrypt backup.age | tar -xz
//
// It begins with the entry berth-backup.json, a [Manifest]; then come config/, with
// gateway.yaml and users.d, and state/, the state directory without what a gateway
// makes anew (its helper, sockets and half-written files) and without what only grows:
// recordings and audit files.
package backup

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/berth-ssh/berth/labels"
)

const (
	manifestName = "berth-backup.json"
	configName   = "config/gateway.yaml"
	usersDir     = "users.d"
	format       = 1

	// maxFile is the size, in bytes, of the largest file that a backup has.
	maxFile = 64 << 20
)

// Manifest says what a backup is of.
type Manifest struct {
	Format  int       `json:"format"`
	Version string    `json:"version"` // of the program that made it
	Time    time.Time `json:"time"`
	Config  string    `json:"config"` // where the configuration was
	State   string    `json:"state"`  // where the state directory was
}

// Box is where a box has what a backup is made of.
type Box struct {
	Config string // file; users.d is beside it
	State  string // directory

	// Recordings and Audit are a directory and a file that are left out, wherever they
	// lie; "" where there is none.
	Recordings, Audit string
}

// isLeftOut reports whether a path in the state directory does not belong into a backup.
func (b Box) isLeftOut(path string) bool {
	isAudit := b.Audit != "" && (path == b.Audit || strings.HasPrefix(path, b.Audit+".")) // rotated: audit.jsonl.1
	return isAudit || path == b.Recordings || path == filepath.Join(b.State, labels.HelperDir) || strings.HasPrefix(filepath.Base(path), ".new-")
}

// Write writes a backup. A gateway may run meanwhile.
func Write(to io.Writer, passphrase, version string, box Box) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	return write(to, recipient, version, box)
}

func write(to io.Writer, recipient age.Recipient, version string, box Box) error {
	encrypted, err := age.Encrypt(to, recipient)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(encrypted)
	w := tar.NewWriter(zipped)
	err = writeAll(w, version, box)
	return errors.Join(err, w.Close(), zipped.Close(), encrypted.Close())
}

func writeAll(w *tar.Writer, version string, box Box) error {
	text, err := json.Marshal(Manifest{format, version, time.Now().UTC(), box.Config, box.State})
	if err != nil {
		return err
	}
	if err := add(w, manifestName, append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := addFile(w, configName, box.Config); err != nil {
		return err
	}
	users := filepath.Join(filepath.Dir(box.Config), usersDir)
	if err := addTree(w, "config/"+usersDir, users, func(string) bool { return false }); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return addTree(w, "state", box.State, box.isLeftOut)
}

// addTree adds the files below a directory, which may be links to files elsewhere.
func addTree(w *tar.Writer, name, dir string, isLeftOut func(path string) bool) error {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	return filepath.WalkDir(root, func(file string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist): // it was removed meanwhile
			return nil
		case err != nil:
			return err
		case isLeftOut(filepath.Join(dir, inside)) && info.IsDir():
			return fs.SkipDir
		case isLeftOut(filepath.Join(dir, inside)) || !info.Mode().IsRegular():
			return nil
		}
		err = addFile(w, path.Join(name, filepath.ToSlash(inside)), file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func addFile(w *tar.Writer, name, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() > maxFile {
		return fmt.Errorf("%s has %d bytes, and a backup has no file of more than %d: it belongs elsewhere", file, info.Size(), maxFile)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return add(w, name, text, info.Mode().Perm())
}

func add(w *tar.Writer, name string, text []byte, mode fs.FileMode) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: int64(mode), Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err := w.Write(text)
	return err
}

// file is one that a backup has.
type file struct {
	name string // as in the tar
	text []byte
	mode fs.FileMode
}

// Restore puts what a backup has at a configuration file's path and at a state
// directory; "" is where each was. Neither may be there, but for a configuration
// that mayReplace says is nobody's work. All of the backup is read and checked
// first; where something is wrong with it, nothing is written.
func Restore(from io.Reader, passphrase, config, state string, mayReplace func(config []byte) bool) (Manifest, error) {
	manifest, files, err := read(from, passphrase)
	if err != nil {
		return manifest, err
	}
	if config == "" {
		config = manifest.Config
	}
	if state == "" {
		state = manifest.State
	}
	manifest.Config, manifest.State = config, state
	if err := refuseToReplace(config, state, mayReplace); err != nil {
		return manifest, err
	}
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return manifest, err
	}
	if err := os.MkdirAll(state, 0o700); err != nil {
		return manifest, err
	}
	if err := os.Chmod(state, 0o700); err != nil {
		return manifest, err
	}
	to, err := openPlaces(config, state)
	if err != nil {
		return manifest, err
	}
	defer to.close()
	if err := to.write(files); err != nil {
		to.remove(files) // a gateway would make the keys that are missing
		return manifest, err
	}
	return manifest, nil
}

func refuseToReplace(config, state string, mayReplace func([]byte) bool) error {
	refusal := func(err error, what, advice string) error {
		return errors.Join(err, fmt.Errorf("%s exists, and is not replaced; %smove it away first: mv %s %s.old", what, advice, what, what))
	}
	text, err := os.ReadFile(config)
	if err == nil && !mayReplace(text) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refusal(err, config, "")
	}
	users := filepath.Join(filepath.Dir(config), usersDir)
	if entries, err := os.ReadDir(users); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refusal(err, users, "")
	}
	if entries, err := os.ReadDir(state); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return refusal(err, state, "stop the gateway and ")
	}
	return nil
}

// places are where the files of a backup go, and nowhere else.
type places struct {
	configs, states *os.Root
	config          string // the name of the configuration file
}

func openPlaces(config, state string) (places, error) {
	configs, err := os.OpenRoot(filepath.Dir(config))
	if err != nil {
		return places{}, err
	}
	states, err := os.OpenRoot(state)
	if err != nil {
		return places{}, errors.Join(err, configs.Close())
	}
	return places{configs, states, filepath.Base(config)}, nil
}

func (p places) close() {
	p.configs.Close()
	p.states.Close()
}

// of is where a file goes, but for the configuration, which goes there when it is whole.
func (p places) of(f file) (root *os.Root, name string) {
	if f.name == configName {
		return p.configs, "." + p.config + ".new"
	}
	if inside, isConfig := strings.CutPrefix(f.name, "config/"); isConfig {
		return p.configs, inside
	}
	return p.states, strings.TrimPrefix(f.name, "state/")
}

// write writes the files, the configuration last.
func (p places) write(files []file) error {
	for _, f := range files {
		root, name := p.of(f)
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(name, f.text, f.mode); err != nil {
			return err
		}
	}
	_, whole := p.of(file{name: configName})
	return p.configs.Rename(whole, p.config)
}

// remove removes what was written of the files, with their directories.
func (p places) remove(files []file) {
	for _, f := range files {
		root, name := p.of(f)
		top, _, _ := strings.Cut(name, "/")
		root.RemoveAll(top)
	}
}

// read reads all of a backup.
func read(from io.Reader, passphrase string) (manifest Manifest, files []file, err error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return manifest, nil, err
	}
	plain, err := age.Decrypt(from, identity)
	if _, ok := errors.AsType[*age.NoIdentityMatchError](err); ok {
		return manifest, nil, errors.New("the passphrase is not that of this backup")
	}
	if err != nil {
		return manifest, nil, fmt.Errorf("not a backup: %w", err)
	}
	zipped, err := gzip.NewReader(plain)
	if err != nil {
		return manifest, nil, fmt.Errorf("not a backup: %w", err)
	}
	r := tar.NewReader(zipped)
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return manifest, nil, fmt.Errorf("the backup is broken: %w", err)
		}
		f, err := readFile(r, header)
		if err != nil {
			return manifest, nil, fmt.Errorf("the backup is broken: %w", err)
		}
		files = append(files, f)
	}
	if len(files) == 0 || files[0].name != manifestName {
		return manifest, nil, errors.New("not a backup of Berth")
	}
	if err := json.Unmarshal(bytes.TrimSpace(files[0].text), &manifest); err != nil {
		return manifest, nil, fmt.Errorf("the backup is broken: %w", err)
	}
	if manifest.Format > format {
		return manifest, nil, fmt.Errorf("the backup is of format %d, which a newer Berth has written; this one knows %d", manifest.Format, format)
	}
	return manifest, files[1:], nil
}

func readFile(r io.Reader, header *tar.Header) (file, error) {
	name := header.Name
	inside := strings.HasPrefix(name, "config/") || strings.HasPrefix(name, "state/") || name == manifestName
	if header.Typeflag != tar.TypeReg || !inside || !filepath.IsLocal(name) || path.Clean(name) != name {
		return file{}, fmt.Errorf("%.100q does not belong into one", name)
	}
	if header.Size > maxFile {
		return file{}, fmt.Errorf("%s has %d bytes, more than %d", name, header.Size, maxFile)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxFile))
	return file{name, text, fs.FileMode(header.Mode) & 0o700}, err
}
