package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Limits that RFC 4253 sets to what a client sends first.
const (
	maxVersion = 255   // §4.2: the longest version line, with its CR LF
	maxPacket  = 35000 // §6.1: the largest packet that every peer must accept
)

// The lines that sshd sends to a peer that does not speak SSH-2, before it hangs up.
const (
	notSSH       = "Invalid SSH identification string.\r\n"
	anotherMajor = "Protocol major versions differ.\r\n"
)

var (
	errIncomplete = errors.New("more is to come")
	errNotKexInit = errors.New("not a KEXINIT")
)

// notSSH2 is the error about a peer that does not speak SSH-2.
type notSSH2 struct {
	said  string // the first bytes that it sent
	reply string
}

func (e *notSSH2) Error() string {
	return fmt.Sprintf("the client does not speak SSH-2: it says %q", e.said)
}

// Hello is what a client sends in clear, before any algorithm is agreed.
type Hello struct {
	Version string // RFC 4253 §4.2, without the line end

	// What the client's KEXINIT (RFC 4253 §7.1) offers, in its order: kinds of host
	// keys, and ciphers in each direction. Nil if no KEXINIT came in time.
	HostKeys           []string
	ToServer, ToClient []string
}

// parseVersion returns a client's version line, and how many bytes of p it takes with
// its line end. Like sshd, and unlike an SSH client, it accepts no other lines before
// it. Before the line is complete the error is errIncomplete, or a *notSSH2 as soon
// as no further byte could make it valid.
func parseVersion(p []byte) (version string, n int, err error) {
	line, _, ended := bytes.Cut(p[:min(len(p), maxVersion)], []byte("\n"))
	const prefix = "SSH-"
	isPrefix := strings.HasPrefix(prefix, string(line[:min(len(line), len(prefix))]))
	switch {
	case !isPrefix, ended && len(line) < len(prefix), !ended && len(p) >= maxVersion:
		return "", 0, &notSSH2{said: shown(line), reply: notSSH}
	case !ended:
		return "", 0, errIncomplete
	}
	version = strings.TrimSuffix(string(line), "\r")
	protocol, software, _ := strings.Cut(version[len(prefix):], "-")
	major, minor, isNumber := strings.Cut(protocol, ".")
	switch {
	case !isNumber || software == "":
		return "", 0, &notSSH2{said: shown(line), reply: notSSH}
	case major != "2" && (major != "1" || minor != "99"): // §5.1: 1.99 speaks both
		return "", 0, &notSSH2{said: shown(line), reply: anotherMajor}
	}
	return version, len(line) + 1, nil
}

// shown returns the beginning of a line, for a log.
func shown(line []byte) string { return strings.TrimSpace(string(line[:min(len(line), 40)])) }

// parseKexInit reads the offers in the first packet after a version line. The error
// is errIncomplete while more of the packet may come, and errNotKexInit if it cannot
// become a KEXINIT.
func (h *Hello) parseKexInit(p []byte) error {
	payload, err := parsePacket(p)
	if err != nil {
		return err
	}
	const msgKexInit, cookie = 20, 16
	if len(payload) < 1+cookie || payload[0] != msgKexInit {
		return errNotKexInit
	}
	var lists [4][]string // key exchanges, host keys, ciphers from client to server, ciphers from server to client
	rest := payload[1+cookie:]
	for i := range lists {
		if lists[i], rest, err = parseNameList(rest); err != nil {
			return err
		}
	}
	h.HostKeys, h.ToServer, h.ToClient = lists[1], lists[2], lists[3]
	return nil
}

// parsePacket returns the payload of an unencrypted packet (RFC 4253 §6).
func parsePacket(p []byte) (payload []byte, err error) {
	const head = 4 + 1 // lengths of packet and padding
	if len(p) < head {
		return nil, errIncomplete
	}
	length, padding := int64(binary.BigEndian.Uint32(p)), int64(p[4])
	switch {
	case length > maxPacket || padding+1 >= length:
		return nil, errNotKexInit
	case int64(len(p)) < 4+length:
		return nil, errIncomplete
	}
	return p[head : 4+length-padding], nil
}

// parseNameList reads a name-list (RFC 4251 §5).
func parseNameList(p []byte) (names []string, rest []byte, err error) {
	if len(p) < 4 {
		return nil, nil, errNotKexInit
	}
	length := binary.BigEndian.Uint32(p)
	if uint64(length) > uint64(len(p)-4) {
		return nil, nil, errNotKexInit
	}
	list, rest := p[4:4+length], p[4+length:]
	if length == 0 {
		return nil, rest, nil
	}
	return strings.Split(string(list), ","), rest, nil
}
