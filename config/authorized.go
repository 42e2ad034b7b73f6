package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/keysource"
)

// keys reads a list of lines as in an authorized_keys file, or of texts that name a
// source of keys.
func (d *document) keys(n *yaml.Node, fetched keysource.Cache) (bare []ssh.PublicKey, restricted []auth.Authorized) {
	d.list(n, "keys", func(item *yaml.Node) {
		line, ok := d.text(item, "key")
		if !ok {
			return
		}
		if options, source, isOne, err := keysource.Split(line); isOne {
			if err == nil {
				err = auth.CheckOptions(options)
			}
			if err != nil {
				d.wrong(item.Line, "key: %v", err)
				return
			}
			d.sources, d.files = append(d.sources, source), append(d.files, fetched.File(source))
			restricted = append(restricted, d.fetched(item.Line, fetched, options, source)...)
			return
		}
		authorized, err := auth.ParseAuthorized(line)
		switch {
		case err != nil:
			d.wrong(item.Line, "key: %v", err)
		case strings.HasPrefix(line, authorized.Key.Type()):
			bare = append(bare, authorized.Key)
		default:
			restricted = append(restricted, authorized)
		}
	})
	return bare, restricted
}

// fetched returns the cached keys of a source, each with the same options.
func (d *document) fetched(line int, from keysource.Cache, options string, source keysource.Source) []auth.Authorized {
	kept, err := from.Keys(source)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.warn(line, "the keys of %s have not been fetched yet; a gateway that runs fetches them", source.Name)
	case err != nil:
		d.warn(line, "the keys of %s: %v", source.Name, err)
	}
	var all []auth.Authorized
	for _, text := range kept.Keys {
		key, err := auth.ParseKey(text)
		if err != nil {
			continue // cached by another version of this program
		}
		if authorized, err := auth.WithOptions(options, key); err == nil { // the options were checked before
			all = append(all, authorized)
		}
	}
	return all
}

// authorizedKeys reads a file of keys; a relative path is relative to the
// configuration. In a file of the gateway's owner every line must be valid. A path
// that begins with ~NAME is the file of an account of this machine. Its owner may
// make mistakes, which must not lock everybody else out: invalid lines are left out
// with a warning.
func (d *document) authorizedKeys(n *yaml.Node) []auth.Authorized {
	if n != nil && n.Kind == yaml.SequenceNode {
		d.wrong(n.Line, "authorized_keys is the path of a file; a list of keys is called keys")
		return nil
	}
	path, ok := d.text(n, "authorized_keys")
	if !ok {
		return nil
	}
	say := d.wrong
	if strings.HasPrefix(path, "~") {
		say = d.warn
	}
	file, err := d.keysFile(path)
	if err != nil {
		d.wrong(n.Line, "authorized_keys: %v", err)
		return nil
	}
	data, err := d.read(file)
	if err != nil {
		say(n.Line, "authorized_keys: %s %v", file.path, err)
		return nil
	}
	all, wrong := auth.ParseAuthorizedKeys(string(data))
	for _, line := range wrong {
		say(n.Line, "authorized_keys: %s:%d: %v", file.path, line.Line, line.Err)
	}
	return all
}

// ownedFile is a file that only its owner and root can change.
type ownedFile struct {
	path  string
	owner uint32
	home  string // "": the checks of directories go up to /
}

var errKeysPath = errors.New("must be the path of a file, or of one in an account's home, such as ~dev/.ssh/authorized_keys")

func (d *document) keysFile(path string) (ownedFile, error) {
	if path == "" || strings.ContainsAny(path, "\x00\n") {
		return ownedFile{}, errKeysPath
	}
	name, rest, inHome := strings.Cut(strings.TrimPrefix(path, "~"), "/")
	switch {
	case !strings.HasPrefix(path, "~"):
		return ownedFile{path: d.beside(path), owner: uint32(os.Geteuid())}, nil
	case name == "" || rest == "" || !inHome:
		return ownedFile{}, errKeysPath
	}
	account, err := osuser.Lookup(name)
	if err != nil {
		return ownedFile{}, fmt.Errorf("there is no account %.64q on this machine", name)
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	return ownedFile{filepath.Join(account.HomeDir, rest), uint32(uid), account.HomeDir}, err
}

// beside returns the path; a relative one is relative to the configuration.
func (d *document) beside(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(d.path), path)
}

// read reads a file that the configuration names.
func (d *document) read(file ownedFile) ([]byte, error) {
	d.files = append(d.files, file.path)
	return file.read()
}

// read reads the file if only its owner and root can have written it, which is the
// rule of sshd's StrictModes. It follows links, and checks every directory above the
// file up to the home.
func (f ownedFile) read() ([]byte, error) {
	real, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", cause(err))
	}
	data, _, err := readFile(real)
	if err != nil {
		return nil, fmt.Errorf("cannot be read: %w", err)
	}
	home, err := filepath.EvalSymlinks(f.home)
	if err != nil || f.home == "" {
		home = "/"
	}
	if real, err = filepath.Abs(real); err != nil {
		return nil, err
	}
	for at := real; ; at = filepath.Dir(at) {
		if err := f.checkOwned(at, at == real); err != nil {
			return nil, err
		}
		if at == home || at == "/" {
			return data, nil
		}
	}
}

// checkOwned checks the owner and mode of a file or directory. A directory may be
// writable for all if nobody can remove another's files there, as in /tmp.
func (f ownedFile) checkOwned(path string, isFile bool) error {
	info, err := os.Stat(path)
	if err != nil {
		return cause(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	isSticky := !isFile && info.Mode()&fs.ModeSticky != 0
	switch {
	case owner != 0 && owner != f.owner:
		return fmt.Errorf("is not safe: %s belongs to another account (uid %d)", path, owner)
	case info.Mode().Perm()&0o022 != 0 && !isSticky:
		return fmt.Errorf("is not safe: others may write %s (mode %04o); run: chmod go-w %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// revoked reads the list of revoked keys and certificates.
func (d *document) revoked(n *yaml.Node) *auth.Revoked {
	path, ok := d.text(n, "revoked")
	if !ok {
		return nil
	}
	if path == "" || strings.ContainsAny(path, "\x00\n") {
		d.wrong(n.Line, "revoked must be the path of a file")
		return nil
	}
	file := ownedFile{path: d.beside(path), owner: uint32(os.Geteuid())}
	data, err := d.read(file)
	if err != nil {
		d.wrong(n.Line, "revoked: %s %v", file.path, err)
		return nil
	}
	if len(data) > 0 && data[len(data)-1] != '\n' { // "serial: 1" may be to become "serial: 17"
		d.wrong(n.Line, "revoked: %s is perhaps half written: its last line has no end", file.path)
	}
	revoked, wrong := auth.ParseRevoked(data)
	for _, line := range wrong {
		d.wrong(n.Line, "revoked: %s:%d: %v", file.path, line.Line, line.Err)
	}
	return revoked
}
