package local

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/berth-ssh/berth/helper"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/pool"
	"github.com/berth-ssh/berth/labels"
)

// selfPath is this program's own file, even where it was replaced meanwhile.
const selfPath = "/proc/self/exe"

// Source is this machine, under the names that the configuration gives it.
type Source struct {
	entries atomic.Pointer[map[string]hosts.Entry]
	helpers *pool.Pool
}

// New takes the entries of route local.
func New(entries []hosts.Entry, log *slog.Logger) *Source {
	s := &Source{helpers: pool.New(pool.Idle, log)}
	s.Replace(entries)
	return s
}

// Replace replaces the entries. Existing connections go on.
func (s *Source) Replace(entries []hosts.Entry) {
	byName := map[string]hosts.Entry{}
	for _, entry := range entries {
		if entry.Route == labels.RouteLocal {
			byName[entry.Name] = entry
		}
	}
	s.entries.Store(&byName)
}

func (s *Source) entry(name string) (entry hosts.Entry, known bool) {
	entry, known = (*s.entries.Load())[name]
	return entry, known
}

// Run returns at once: this machine is there.
func (s *Source) Run(context.Context) {}

// Close ends the helpers.
func (s *Source) Close() { s.helpers.Close() }

// Lookup finds an entry.
func (s *Source) Lookup(_ context.Context, name string) (hosts.Host, error) {
	entry, known := s.entry(name)
	if !known {
		return hosts.Host{}, &hosts.Unreachable{Host: name, Why: "does not exist", Unknown: true}
	}
	return hosts.Host{Name: name, Route: labels.RouteLocal, Account: entry.Account}, nil
}

// List lists the entries.
func (s *Source) List(ctx context.Context) []hosts.Host {
	return hosts.LookupEach(ctx, maps.Keys(*s.entries.Load()), s.Lookup)
}

// ComingBack knows that this machine is here.
func (s *Source) ComingBack(name string) (comingBack, known bool) {
	_, known = s.entry(name)
	return false, known
}

// Open opens this machine as one of its accounts, "" being the gateway's own. A
// helper serves it, as in a container, started as a child: what a person does
// here, the gateway's own process never does.
func (s *Source) Open(ctx context.Context, host hosts.Host, account string) (hosts.Entrance, error) {
	who, err := localAccount(account)
	if err != nil {
		return hosts.Entrance{}, &hosts.Unreachable{Host: host.Name, Why: err.Error()}
	}
	opened, err := s.helpers.Open(ctx, pool.Key{Account: who.Username}, func() (*helper.Client, error) {
		return startHelper(who)
	})
	if err != nil {
		return hosts.Entrance{}, &hosts.Unreachable{Host: host.Name, Why: "cannot be entered as " + who.Username, Cause: err}
	}
	return hosts.Entrance{Machine: opened}, nil
}

// localAccount is the account asked for, or the gateway's own.
func localAccount(name string) (*user.User, error) {
	own, err := user.Current()
	if err != nil {
		return nil, err
	}
	if name == "" || name == own.Username {
		return own, nil
	}
	other, err := user.Lookup(name)
	if err != nil {
		return nil, fmt.Errorf("has no account %s", name)
	}
	if own.Uid != "0" {
		return nil, fmt.Errorf("cannot be entered as %s: the gateway runs as %s", name, own.Username)
	}
	return other, nil
}

func startHelper(who *user.User) (*helper.Client, error) {
	credential, err := credentialOf(who)
	if err != nil {
		return nil, err
	}
	command := exec.Command(selfPath, "helper", "child")
	command.Dir = "/"
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "LANG=" + os.Getenv("LANG"), "HOME=" + who.HomeDir}
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: credential}
	client, control, err := helper.NewPair()
	if err != nil {
		return nil, err
	}
	defer control.Close()
	command.ExtraFiles = []*os.File{control}
	if err := command.Start(); err != nil {
		client.Close()
		return nil, err
	}
	go command.Wait() // it ends when its control socket is closed
	return client, nil
}

// credentialOf is nil for the gateway's own account: an ordinary user may not
// even set the groups it already has.
func credentialOf(who *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil || int(uid) == os.Getuid() {
		return nil, err
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	ids, err := who.GroupIds()
	if err != nil {
		return nil, err
	}
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		group, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		credential.Groups = append(credential.Groups, uint32(group))
	}
	return credential, nil
}
