package hosts

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"

	"berth/helper"
)

// openLocal opens this machine itself, as one of its accounts. It is the same
// helper as in a container, started as a child: what a person does here, the
// gateway's own process never does.
func (d *Directory) openLocal(ctx context.Context, host Host, account string) (Route, error) {
	who, err := localAccount(account)
	if err != nil {
		return Route{}, unreachable(host.Name, err.Error(), nil)
	}
	opened, err := d.helpers.open(ctx, helperKey{"", who.Username}, func() (*helper.Client, error) {
		return startLocalHelper(who)
	})
	if err != nil {
		return Route{}, unreachable(host.Name, "cannot be entered as "+who.Username, err)
	}
	return Route{Machine: opened}, nil
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

func startLocalHelper(who *user.User) (*helper.Client, error) {
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
