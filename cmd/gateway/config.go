package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.yaml.in/yaml/v4"

	"berth/auth"
	"berth/gateway"
	"berth/hosts"
	"berth/state"
)

const (
	defaultConfig = "/etc/berth/gateway.yaml"
	defaultListen = ":2222"
	defaultDocker = "unix:///var/run/docker.sock"

	maxFile = 1 << 20 // bytes of a configuration or key file
)

// Config is a gateway.yaml with its defaults filled in and everything checked.
type Config struct {
	Listen string // host:port
	State  string // the state directory
	Docker string // the engine, as in DOCKER_HOST

	Keepalive time.Duration // see gateway.Server
	Wait      time.Duration // see gateway.Server

	Users  []auth.User
	Policy *auth.Policy // made of Users
	Hosts  []hosts.Entry
}

// loadConfig reads a configuration file. The error is [configErrors], with
// everything that is wrong with the file.
func loadConfig(path string) (Config, error) {
	d := &document{path: path}
	data, mode, err := readFile(path)
	if err != nil {
		d.wrong(0, "%v", err)
		return Config{}, d.err()
	}
	config := d.config(data)
	d.checkMode(mode)
	if err := d.err(); err != nil {
		return Config{}, err
	}
	return config, nil
}

// readFile reads a small file and says who may write and read it. Its error
// does not name the path.
func readFile(path string) ([]byte, fs.FileMode, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, cause(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, 0, cause(err)
	}
	if len(data) > maxFile {
		return nil, 0, fmt.Errorf("larger than %d KiB", maxFile>>10)
	}
	return data, info.Mode().Perm(), nil
}

// cause leaves out the operation and path of a file error.
func cause(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}

func (d *document) checkMode(mode fs.FileMode) {
	if mode&0o022 != 0 {
		d.wrong(0, "others may write it (mode %04o); run: chmod go-w %s", mode, d.path)
	}
	if mode&0o004 != 0 && d.secret {
		d.wrong(0, "it holds password hashes and everyone may read it (mode %04o); run: chmod o-r %s", mode, d.path)
	}
}

// config reads the whole file. What it returns is of use if d.err is nil.
func (d *document) config(data []byte) Config {
	given := d.fields(d.parse(data), "the file", "listen", "state", "docker", "keepalive", "wait", "users", "hosts")
	c := Config{
		Listen: cmp.Or(d.listen(given["listen"]), defaultListen),
		State:  cmp.Or(d.stateDir(given["state"]), state.DefaultDir),
		Docker: cmp.Or(d.docker(given["docker"]), os.Getenv("DOCKER_HOST"), defaultDocker),

		Keepalive: d.duration(given["keepalive"], "keepalive", gateway.DefaultKeepalive),
		Wait:      d.duration(given["wait"], "wait", gateway.DefaultWait),
	}
	d.each(given["users"], "users", func(name, value *yaml.Node) {
		c.Users = append(c.Users, d.user(name, value))
	})
	d.each(given["hosts"], "hosts", func(name, value *yaml.Node) {
		c.Hosts = append(c.Hosts, d.host(name, value))
	})
	if len(d.errs) > 0 {
		return c
	}
	if len(c.Users) == 0 {
		d.wrong(1, "there are no users; give one under users:")
		return c
	}
	policy, err := auth.NewPolicy(c.Users)
	if err != nil {
		d.wrong(given["users"].Line, "%v", err)
	}
	c.Policy = policy
	return c
}
