package descriptors

import (
	"os"

	"golang.org/x/sys/unix"
)

// maxRights is how many descriptors one message can carry (SCM_MAX_FD). Every read
// has room for all of them: the kernel closes those that find no room, and may block
// in that.
const maxRights = 253

// discard closes a descriptor that came from a container, and never blocks. A plain
// close could wait until a peer takes what was sent (SO_LINGER), also for a socket
// that lies in the queue of a unix socket.
func discard(fd int) {
	calm(fd)
	unix.Close(fd)
}

// calm changes a socket so that closing it does not block. After the shutdown nothing
// new can enter the queue of a unix socket.
func calm(fd int) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return // not a socket
	}
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	if domain != unix.AF_UNIX {
		return
	}
	unix.Shutdown(fd, unix.SHUT_RDWR)
	buf, rights := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(maxRights*4))
	for {
		n, nRights, _, _, err := unix.Recvmsg(fd, buf, rights, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != nil || n == 0 && nRights == 0 {
			return
		}
		discardAll(descriptors(rights[:nRights]))
	}
}

func discardAll(fds []int) {
	for _, fd := range fds {
		discard(fd)
	}
}

// Discard closes a file that came from a container, and never blocks.
func Discard(file *os.File) {
	calmHolder(file)
	file.Close()
}

// calmHolder applies calm to a file or a connection.
func calmHolder(holder any) {
	withFD(holder, func(fd int) error {
		calm(fd)
		return nil
	})
}

// descriptors returns the descriptors in a message's control data.
func descriptors(rights []byte) []int {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	var all []int
	for _, message := range messages {
		if fds, err := unix.ParseUnixRights(&message); err == nil {
			all = append(all, fds...)
		}
	}
	return all
}
