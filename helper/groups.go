package helper

import (
	"os"
	"slices"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// retire tells the gateway, as soon as the account gains or loses a group, to start a
// new helper for the next login: a process keeps its groups, and so would every
// session that this helper starts. Machines that are open stay open. stop ends the
// watch.
func retire(control *descriptors.Socket) (stop func()) {
	changes, err := watchEtc()
	if err != nil {
		return func() {} // no watch is left for this account
	}
	before := groupsOf(machine.CurrentAccount())
	go func() {
		for event := make([]byte, 4<<10); ; {
			if _, err := changes.Read(event); err != nil {
				return
			}
			if !slices.Equal(before, groupsOf(machine.CurrentAccount())) {
				control.CloseWrite()
				return
			}
		}
	}()
	return func() { changes.Close() }
}

// watchEtc returns a file that can be read when a file in /etc was written or
// replaced.
func watchEtc() (*os.File, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	changes := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, "/etc", unix.IN_CLOSE_WRITE|unix.IN_MOVED_TO); err != nil {
		changes.Close()
		return nil, os.NewSyscallError("inotify_add_watch", err)
	}
	return changes, nil
}

// groupsOf returns the groups that the machine's files give the account now, or nil
// if the account does not exist.
func groupsOf(account machine.Account) []int {
	identity, err := machine.FindAccount(account.Name)
	if err != nil {
		return nil
	}
	return identity.Groups
}
