// Package backup puts what a box keeps for Berth into one encrypted file, and back.
//
// The file is a gzipped tar, encrypted with a passphrase in the format of age
// (age-encryption.org/v1), so that other programs can open it, too:
//
//	age --decrypt backup.age | tar -xz
//
// It begins with the entry berth-backup.json, a [Manifest]; then come config/, with
// gateway.yaml and users.d, and state/, the state directory without what a gateway
// makes anew: its helper, sockets and half-written files.
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
	format       = 1

	// maxFile is the size, in bytes, of the largest file that is restored.
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

// Write writes a backup of a configuration file, with users.d beside it, and of a
// state directory. A gateway may run meanwhile.
func Write(to io.Writer, passphrase, version, config, state string) error {
	recipient, err := age.NewScryptRecipient(passphrase)
	if err != nil {
		return err
	}
	return write(to, recipient, Manifest{format, version, time.Now().UTC(), config, state})
}

func write(to io.Writer, recipient age.Recipient, manifest Manifest) error {
	encrypted, err := age.Encrypt(to, recipient)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(encrypted)
	w := tar.NewWriter(zipped)
	err = writeAll(w, manifest)
	return errors.Join(err, w.Close(), zipped.Close(), encrypted.Close())
}

func writeAll(w *tar.Writer, manifest Manifest) error {
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	if err := add(w, manifestName, append(text, '\n'), 0o600); err != nil {
		return err
	}
	if err := addFile(w, "config/gateway.yaml", manifest.Config); err != nil {
		return err
	}
	users := filepath.Join(filepath.Dir(manifest.Config), "users.d")
	if err := addTree(w, "config/users.d", users); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return addTree(w, "state", manifest.State)
}

// addTree adds the regular files below a directory.
func addTree(w *tar.Writer, name, dir string) error {
	return filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir() && inside == labels.HelperDir && name == "state":
			return fs.SkipDir
		case !entry.Type().IsRegular() || strings.HasPrefix(entry.Name(), ".new-"):
			return nil
		}
		err = addFile(w, path.Join(name, filepath.ToSlash(inside)), file)
		if errors.Is(err, fs.ErrNotExist) { // it was removed meanwhile
			return nil
		}
		return err
	})
}

func addFile(w *tar.Writer, name, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	info, err := os.Stat(file)
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
	return manifest, writeFiles(files, config, state)
}

func refuseToReplace(config, state string, mayReplace func([]byte) bool) error {
	text, err := os.ReadFile(config)
	if err == nil && !mayReplace(text) || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s exists, and is not replaced; move it away first: mv %s %s.old", config, config, config))
	}
	if entries, err := os.ReadDir(state); len(entries) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("%s is there, and is not replaced; stop the gateway and move it away first: mv %s %s.old", state, state, state))
	}
	return nil
}

// writeFiles writes into the two places and nowhere else.
func writeFiles(files []file, config, state string) error {
	configs, err := os.OpenRoot(filepath.Dir(config))
	if err != nil {
		return err
	}
	defer configs.Close()
	states, err := os.OpenRoot(state)
	if err != nil {
		return err
	}
	defer states.Close()
	for _, f := range files {
		root, name := states, strings.TrimPrefix(f.name, "state/")
		if inside, isConfig := strings.CutPrefix(f.name, "config/"); isConfig {
			root, name = configs, inside
		}
		if f.name == "config/gateway.yaml" {
			name = filepath.Base(config)
		}
		if err := root.MkdirAll(path.Dir(name), 0o700); err != nil {
			return err
		}
		if err := root.WriteFile(name, f.text, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// read reads all of a backup.
func read(from io.Reader, passphrase string) (manifest Manifest, files []file, err error) {
	identity, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return manifest, nil, err
	}
	plain, err := age.Decrypt(from, identity)
	if noMatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &noMatch) {
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
