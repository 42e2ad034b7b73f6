package config

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"
)

// usersFiles returns the paths of users.d/*.yaml beside a configuration file, in the
// order of their names. It leaves out hidden files, which editors create.
func usersFiles(path string) []string {
	entries, _ := os.ReadDir(usersDir(path))
	var files []string
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") {
			files = append(files, filepath.Join(usersDir(path), name))
		}
	}
	return files
}

func usersDir(path string) string { return filepath.Join(filepath.Dir(path), "users.d") }

// Stamp returns a text that changes with every change of a configuration's files and
// of the named files: of a name, a size or a time, or when a file is replaced by
// another.
func Stamp(path string, named ...string) string {
	var stamp strings.Builder
	for _, file := range slices.Concat([]string{path, usersDir(path)}, usersFiles(path), named) {
		info, err := os.Stat(file)
		if err != nil {
			fmt.Fprintln(&stamp, file, cause(err))
			continue
		}
		fmt.Fprintln(&stamp, file, info.Size(), info.ModTime().UnixNano(), inode(info), info.Mode())
	}
	return stamp.String()
}

func inode(info fs.FileInfo) uint64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Ino
	}
	return 0
}

// watchEvery is how often Watch looks at the files. It reports a change only when two
// looks in a row have seen the same: then the writer has probably finished.
const watchEvery = 500 * time.Millisecond

// Watch calls changed after each change of a configuration's files, or of the files
// that named returns, until ctx ends. It looks at them twice a second. Unlike the
// kernel's notifications, this works on every file system, through every link, and
// however a file is saved. If a file's last line has no end, the file is probably
// half written: then Watch calls halfWritten with its path, and not changed.
func Watch(ctx context.Context, path string, named func() []string, changed func(), halfWritten func(path string)) {
	told := Stamp(path, named()...)
	last := told
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := Stamp(path, named()...)
		if now != last || now == told {
			last = now
			continue
		}
		told = now
		if file := unfinished(path); file != "" {
			halfWritten(file)
			continue
		}
		changed()
	}
}

// unfinished returns the first file of a configuration whose last line has no end; ""
// if there is none.
func unfinished(path string) string {
	for _, file := range append([]string{path}, usersFiles(path)...) {
		data, _, err := readFile(file)
		if err == nil && len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
			return file
		}
	}
	return ""
}

// NeedsRestart returns the keys that differ between two configurations and that a
// gateway reads only when it starts.
func (c Config) NeedsRestart(next Config) []string {
	var keys []string
	for _, key := range []struct {
		name    string
		differs bool
	}{
		{"listen", c.Listen != next.Listen},
		{"state", c.State != next.State},
		{"keys", c.Keys != next.Keys},
		{"docker", c.Docker != next.Docker},
		{"boxes", !slices.Equal(c.Boxes, next.Boxes)},
		{"clusters", !reflect.DeepEqual(c.Clusters, next.Clusters)},
		{"keepalive", c.Keepalive != next.Keepalive},
		{"wait", c.Wait != next.Wait},
		{"metrics", c.Metrics != next.Metrics},
		{"linger", c.Linger != next.Linger},
		{"refresh_keys", c.RefreshKeys != next.RefreshKeys},
		{"exempt", !slices.Equal(c.Exempt, next.Exempt)},
		{"log_unknown_users", c.LogUnknownUsers != next.LogUnknownUsers},
		{"proxies", !slices.Equal(c.Proxies, next.Proxies)},
		{"audit", c.Audit != next.Audit},
		{"ldap", !reflect.DeepEqual(c.LDAP, next.LDAP)},
		{"oidc", !reflect.DeepEqual(c.OIDC, next.OIDC)},
		{"record", !reflect.DeepEqual(c.Record, next.Record)},
	} {
		if key.differs {
			keys = append(keys, key.name)
		}
	}
	return keys
}
