package helper

import (
	"os"
	"slices"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/machine"

	"golang.org/x/sys/unix"
)

// retire tells the gateway that this helper is not the one for who logs in next, as soon
// as its account gets or loses a group: a process's groups stay as they are, and so would
// those of all sessions that it starts. Who has been opened a machine keeps it. Until stop
// is called.
func retire(control *descriptors.Socket) (stop func()) {
	changes, err := watchEtc()
	if err != nil {
		return func() {} // the account may have as many watches as it may have
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

// watchEtc is read from when a file of /etc has been written or replaced.
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

// groupsOf are those that the machine's files say now; nil of an account that is not there.
func groupsOf(account machine.Account) []int {
	identity, err := machine.FindAccount(account.Name)
	if err != nil {
		return nil
	}
	return identity.Groups
}
