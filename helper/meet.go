package helper

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/helper/streams"

	"golang.org/x/sys/unix"
)

// ErrNotStarted is Meet's error when nothing answers, or something that is no helper.
var ErrNotStarted = errors.New("the helper did not start")

// Started is a helper that was just started.
type Started struct {
	In    io.Writer // the helper's standard input and output
	Out   io.Reader
	Close func() // closes them

	// PID returns the helper's process number, as this process sees it, once the
	// helper runs. It is nil where the helper is not a process of this machine.
	PID func() (int, error)
}

// Meet takes over a helper that was just started (see the package comment). A nil m
// leaves out the first way to meet. Meet closes the streams, unless the client uses
// them to talk to the helper.
func (m *Meetings) Meet(started Started) (*Client, error) {
	nonce := rand.Text()
	var arrived <-chan *descriptors.Socket
	if m != nil {
		var forget func()
		arrived, forget = m.expect(nonce)
		defer forget()
	}
	client, err := meetStarted(started, nonce, arrived)
	if client == nil || client.shared == nil {
		started.Close()
	}
	return client, err
}

func meetStarted(started Started, nonce string, arrived <-chan *descriptors.Socket) (*Client, error) {
	if _, err := io.WriteString(started.In, nonce+"\n"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	out := bufio.NewReaderSize(started.Out, standardBuffer)
	said, err := readAnnouncement(out)
	if err != nil {
		return nil, err
	}
	if said.Came {
		select {
		case control := <-arrived:
			return newClient(control), nil
		case <-time.After(meetTimeout):
			return nil, errors.New("the helper says that it came, and did not")
		}
	}
	far, cannot := said.take(started.PID)
	if cannot == nil {
		return attach(far, nonce)
	}
	if err := said.Version.CheckStreams(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(started.In, askStreams); err != nil {
		return nil, err
	}
	return newStreamsClient(streams.Standard{Reader: out, Writer: started.In, OnClose: started.Close}, said.Version, cannot), nil
}

// announced is the content of the first line that a helper prints.
type announced struct {
	Came bool // the helper has connected to the gateway's socket

	// If it has not: the number of a descriptor in the helper that is its socket,
	// that socket's inode, and the version that the helper speaks.
	FD      int
	Inode   uint64
	Version messages.Version
}

const (
	announcement = "berth-helper" // begins that line
	came         = "came"

	// askStreams is a line that tells the helper that no descriptor crosses.
	askStreams = "streams\n"
)

// standardBuffer is the size of the buffer that standard streams are read into.
const standardBuffer = 64 << 10

// maxAnnouncement is longer than any line that a helper announces itself with.
const maxAnnouncement = 512

func readAnnouncement(out *bufio.Reader) (announced, error) {
	var line strings.Builder
	for line.Len() < maxAnnouncement {
		b, err := out.ReadByte()
		if err != nil {
			return announced{}, fmt.Errorf("%w: %w", ErrNotStarted, err)
		}
		if b == '\n' {
			return parseAnnouncement(line.String())
		}
		line.WriteByte(b)
	}
	return announced{}, ErrNotStarted
}

func parseAnnouncement(line string) (announced, error) {
	if line == announcement+" "+came {
		return announced{Came: true}, nil
	}
	word, rest, _ := strings.Cut(line, " ")
	fields := strings.SplitN(rest, " ", 3)
	if word != announcement || len(fields) != 3 {
		return announced{}, ErrNotStarted
	}
	fd, err := strconv.ParseUint(fields[0], 10, 31)
	inode, err2 := strconv.ParseUint(fields[1], 10, 64)
	spoken, err3 := messages.ParseVersion(fields[2])
	if errors.Join(err, err2, err3) != nil {
		return announced{}, ErrNotStarted
	}
	return announced{FD: int(fd), Inode: inode, Version: spoken}, nil
}

// take copies the descriptor that the process announced into this process. It needs
// the privilege of a debugger: root, CAP_SYS_PTRACE, or ownership of the container's
// user namespace, as with a rootless engine.
func (a announced) take(pid func() (int, error)) (*os.File, error) {
	if pid == nil {
		return nil, errors.New("the engine is on another machine")
	}
	process, err := pid()
	if err != nil {
		return nil, err
	}
	pidfd, err := unix.PidfdOpen(process, 0)
	if err != nil {
		return nil, fmt.Errorf("process %d of the helper cannot be seen from here: %w", process, err)
	}
	defer unix.Close(pidfd)
	taken, err := unix.PidfdGetfd(pidfd, a.FD, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, errors.New("the gateway may not take descriptors out of the container: it is not root and has no CAP_SYS_PTRACE")
	}
	if err != nil {
		return nil, os.NewSyscallError("pidfd_getfd", err)
	}
	file := os.NewFile(uintptr(taken), "helper")
	if inode, err := inodeOf(taken); err != nil || inode != a.Inode {
		descriptors.Discard(file)
		return nil, fmt.Errorf("process %d here is another one than the engine's", process)
	}
	return file, nil
}

// inodeOf returns the inode of a socket, which no other socket of this machine has.
func inodeOf(fd int) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	return stat.Ino, err
}
