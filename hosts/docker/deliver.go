package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/labels"
)

// helperBinary is a copy of this program, which is also the helper. Its file name
// depends on its content.
type helperBinary struct {
	path string // in the directory that provision mounts into containers
	name string
}

// deliverToMounts puts this program into the directory that provision mounts
// read-only into the containers that it creates.
func deliverToMounts(stateDir string) (helperBinary, error) {
	dir := filepath.Join(stateDir, labels.HelperDir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return helperBinary{}, fmt.Errorf("helper directory: %w", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // whatever the umask is: every account of a container runs it
		return helperBinary{}, fmt.Errorf("helper directory: %w", err)
	}
	name, err := hashOf(helper.SelfPath)
	if err != nil {
		return helperBinary{}, err
	}
	binary := helperBinary{path: filepath.Join(dir, name), name: name}
	if held, err := hashOf(binary.path); err != nil || held != name {
		if err := copyExecutable(binary.path, helper.SelfPath); err != nil {
			return helperBinary{}, fmt.Errorf("helper for containers: %w", err)
		}
	}
	return binary, nil
}

// RemoveOldHelpers removes other versions of the helper from the directory that
// containers see, and sockets of gateways that are gone. Helpers that still run keep
// their file.
func (s *Source) RemoveOldHelpers() error {
	if s.self.path == "" { // none of its containers is on this machine
		return nil
	}
	dir := filepath.Dir(s.self.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if path == s.self.path || entry.Type() == fs.ModeSocket && !helper.IsDeserted(path) {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func hashOf(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// copyExecutable writes beside the target first: a half-written helper must
// never be found under its name.
func copyExecutable(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	tmp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = io.Copy(tmp, source)
	if err := errors.Join(err, tmp.Chmod(0o755), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), to)
}
