package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/state"
)

// maxFile is the largest size, in bytes, of a configuration or key file.
const maxFile = 1 << 20

// readFile reads a small file, and returns its permissions. Its error does not
// contain the path.
func readFile(path string) ([]byte, fs.FileMode, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // so that opening a pipe does not block
	if err != nil {
		return nil, 0, cause(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, 0, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, 0, cause(err)
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	return data, info.Mode().Perm(), nil
}

// cause returns the cause of a file error, without the operation and the path.
func cause(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// checkOwner refuses a file whose owner is neither root nor the gateway's account.
func (d *document) checkOwner(path string) {
	if err := state.CheckOwner(path); err != nil {
		d.wrong(0, "%v", err)
	}
}

func (d *document) checkMode(mode fs.FileMode) {
	if mode&0o022 != 0 {
		d.wrong(0, "others may write it (mode %04o); run: chmod go-w %s", mode, d.path)
	}
	if mode&0o004 != 0 && d.secret {
		d.wrong(0, "it holds password hashes and everyone may read it (mode %04o); run: chmod o-r %s", mode, d.path)
	}
}
