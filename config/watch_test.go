package config

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/berth-ssh/berth/test/harness"
)

// Every way in which people save a file is noticed once it is written, and a
// half-written file is not taken for a complete one.
func TestWatchTellsOfEveryWayToSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	team := filepath.Join(dir, "users.d", "team.yaml")
	write := func(path, text string) { harness.Write(t, path, 0o600, text) }
	write(path, "users:\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan string, 10)
		watching := make(chan struct{})
		go func() {
			defer close(watching)
			Watch(ctx, path, func() []string { return nil }, func() { told <- "changed" }, func(path string) { told <- "half: " + filepath.Base(path) })
		}()
		for _, step := range []struct {
			name string
			do   func()
			want string
		}{
			{"nothing", func() {}, ""},
			{"written in place", func() { write(path, "users:\n#\n") }, "changed"},
			{"renamed over it, with the same size", func() {
				write(path+"~", "users:\n!\n")
				if err := os.Rename(path+"~", path); err != nil {
					t.Fatal(err)
				}
			}, "changed"},
			{"a directory beside it", func() { os.Mkdir(filepath.Dir(team), 0o700) }, "changed"},
			{"a file in it", func() { write(team, "users:\n") }, "changed"},
			{"half of it", func() { write(team, "us") }, "half: team.yaml"},
			{"the rest", func() { write(team, "users:\n#\n") }, "changed"},
			{"another kind of file", func() { os.WriteFile(team+".swp", nil, 0o600) }, "changed"}, // the directory has another time
			{"the file is gone", func() { os.Remove(team) }, "changed"},
		} {
			step.do()
			time.Sleep(2 * watchEvery)
			synctest.Wait()
			got := ""
			if len(told) > 0 {
				got = <-told
			}
			if got != step.want || len(told) > 0 {
				t.Errorf("%s: told %q and %d more, want %q", step.name, got, len(told), step.want)
			}
		}
		cancel()
		<-watching
	})
}

// While somebody keeps writing, no change is reported.
func TestWatchWaitsForTheEndOfAWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "gateway.yaml")
	harness.Write(t, path, 0o600, "\n")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told := make(chan string, 10)
		watching := make(chan struct{})
		go func() {
			defer close(watching)
			Watch(ctx, path, func() []string { return nil }, func() { told <- "" }, func(string) {})
		}()
		time.Sleep(watchEvery / 2) // between two looks
		for i := range 5 {
			harness.Write(t, path, 0o600, strings.Repeat("#\n", i+2))
			time.Sleep(watchEvery)
		}
		if len(told) > 0 {
			t.Error("it was told in between")
		}
		time.Sleep(2 * watchEvery)
		if len(told) != 1 {
			t.Errorf("it was told %d times afterwards", len(told))
		}
		cancel()
		<-watching
	})
}

// Load reads one state of the files, never half of one and half of the next.
func TestLoadReadsOneState(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "gateway.yaml")
	team := filepath.Join(dir, "users.d", "team.yaml")
	if err := os.Mkdir(filepath.Dir(team), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	key := publicKeyOf(t)
	save := func(path, text string) {
		next := path + ".new"
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Error(err)
		}
		if err := os.Rename(next, path); err != nil {
			t.Error(err)
		}
	}
	user := func(name string, i int) string {
		return fmt.Sprintf("users: {%s%d: {keys: [%s], hosts: {lab: }}}\n", name, i, key)
	}
	save(path, user("main", 0))
	save(team, user("team", 0))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // the team's file is never newer than the other one
		defer close(stopped)
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				save(path, user("main", i))
				save(team, user("team", i))
				time.Sleep(time.Duration(i%3) * time.Millisecond) // time to read
			}
		}
	}()
	read := 0
	for range 500 {
		c, err := Load(path)
		if err != nil {
			continue // there were too many changes
		}
		var main, team int
		fmt.Sscanf(c.Users[0].Name, "main%d", &main)
		fmt.Sscanf(c.Users[1].Name, "team%d", &team)
		if read++; team > main {
			t.Errorf("read %d with %d, which have never been there together", main, team)
			break
		}
	}
	close(stop)
	<-stopped
	if read == 0 {
		t.Error("nothing was read")
	}
}

func TestNeedsRestart(t *testing.T) {
	now := Config{Listen: ":2222", State: "/a"}
	if keys := now.NeedsRestart(Config{Listen: ":22", State: "/b"}); strings.Join(keys, " ") != "listen state" {
		t.Errorf("%q", keys)
	}
	if keys := now.NeedsRestart(now); keys != nil {
		t.Errorf("%q", keys)
	}
}
