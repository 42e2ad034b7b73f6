package audit

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// JournalSocket is the socket where systemd's journal accepts entries.
const JournalSocket = "/run/systemd/journal/socket"

// journalTimeout is how long a write to the journal may take, so that a stuck journal
// does not block people for ever.
const journalTimeout = 2 * time.Second

// journal writes entries to systemd's journal, in its native protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL). Unlike go-systemd's package, it gives
// up on a journal that takes nothing.
type journal struct {
	at   *net.UnixAddr
	conn *net.UnixConn // not connected, so that it also reaches a journal that was restarted
}

// openJournal prepares writes to the journal at a socket. It fails if nothing listens
// there.
func openJournal(path string) (*journal, error) {
	at := &net.UnixAddr{Net: "unixgram", Name: path}
	probe, err := net.DialUnix("unixgram", nil, at)
	if err != nil {
		return nil, fmt.Errorf("systemd's journal does not answer: %w", err)
	}
	probe.Close()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"}) // at a name that the kernel gives
	return &journal{at, conn}, err
}

func (j *journal) close() { j.conn.Close() }

// write writes an entry whose message is a line of the audit file. It must not be
// called concurrently.
func (j *journal) write(line []byte) error {
	entry := entryOf(line)
	j.conn.SetWriteDeadline(time.Now().Add(journalTimeout))
	_, _, err := j.conn.WriteMsgUnix(entry, nil, j.at)
	if errors.Is(err, unix.EMSGSIZE) || errors.Is(err, unix.ENOBUFS) {
		return j.writeLarge(entry)
	}
	return err
}

// writeLarge writes an entry that is too large for a datagram, in a sealed file.
func (j *journal) writeLarge(entry []byte) error {
	fd, err := unix.MemfdCreate("berth-audit", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "audit entry")
	defer file.Close()
	if _, err := file.Write(entry); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL); err != nil {
		return err
	}
	_, _, err = j.conn.WriteMsgUnix(nil, unix.UnixRights(fd), j.at)
	return err
}

// entryOf returns the journal's entry for a line: the line as its message, and fields
// for what people search for.
func entryOf(line []byte) []byte {
	const info, authpriv = "6", "10"
	message := strings.TrimSuffix(string(line), "\n")
	var of struct{ Event, Conn, Remote, User, Host string }
	json.Unmarshal(line, &of) // cannot fail: we have made the line
	var entry []byte
	for _, field := range [][2]string{
		{"MESSAGE", message}, {"PRIORITY", info}, {"SYSLOG_FACILITY", authpriv}, {"SYSLOG_IDENTIFIER", "berth-audit"},
		{"BERTH_EVENT", of.Event}, {"BERTH_CONN", of.Conn}, {"BERTH_REMOTE", of.Remote}, {"BERTH_USER", of.User}, {"BERTH_HOST", of.Host},
	} {
		if field[1] == "" {
			continue
		}
		entry = append(append(entry, field[0]...), '\n') // with its length first, so that no text can end the field
		entry = binary.LittleEndian.AppendUint64(entry, uint64(len(field[1])))
		entry = append(append(entry, field[1]...), '\n')
	}
	return entry
}
