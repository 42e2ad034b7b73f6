package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// keyFiles returns the names of the files with a gateway's own keys. To clients and
// hosts, several gateways with the same keys are one.
func keyFiles() (needed, others []string) {
	needed = []string{hostKeyFile, userCAFile, logKeyFile}
	others = []string{"ssh_host_ecdsa_key", "ssh_host_rsa_key", formerCAFile, hostKeyTime}
	for _, name := range []string{hostKeyFile, "ssh_host_ecdsa_key", "ssh_host_rsa_key", userCAFile} {
		others = append(others, name+nextSuffix)
	}
	return needed, others
}

// CheckKeys returns an error if a directory of given keys (see [OpenWithKeys]) lacks
// one, or if everybody on this machine may read or change one.
func CheckKeys(dir string) error {
	needed, others := keyFiles()
	for _, name := range slices.Concat(needed, others) {
		path := filepath.Join(dir, name)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && slices.Contains(others, name):
			continue
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("the keys in %s lack %s; berth-gateway keys secret prints all that are needed", dir, name)
		case err != nil:
			return err
		}
		if mode := info.Mode().Perm(); mode&0o027 != 0 {
			return fmt.Errorf("%s may be read or changed by others (mode %04o); the mode is to be 0400, or 0440 with the gateway's group", path, mode)
		}
		if err := CheckOwner(path); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// Keys returns the files of the gateway's own keys by their names, for use with
// [OpenWithKeys]. It also makes the missing keys for clients that do not know
// ed25519.
func (s *State) Keys() (map[string][]byte, error) {
	if _, err := s.HostKeys(true); err != nil {
		return nil, err
	}
	if _, err := s.LogKey(); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	needed, others := keyFiles()
	for _, name := range slices.Concat(needed, others) {
		text, err := os.ReadFile(filepath.Join(s.keysDir(), name))
		if err == nil {
			files[name] = text
		} else if ignoring(err, fs.ErrNotExist) != nil {
			return nil, err
		}
	}
	return files, nil
}
