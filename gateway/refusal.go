package gateway

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/printable"

	"golang.org/x/crypto/ssh"
)

const (
	maxBanner = 4 << 10 // bytes of a host's banner that are kept

	maxWords = 200 // runes of a line of the host's own text
	maxLines = 20
)

var errHostKey = errors.New("shows another host key than the one pinned to it")

// whyNotTimeout bounds the question why an sshd refused the gateway, for which the person
// waits.
const whyNotTimeout = 5 * time.Second

// refusedBySshd is the error where a host's sshd has refused the gateway. It says why, and
// ends with the sshd's banner, which the host's owner has written for people who log in.
func refusedBySshd(err error, banner string, sshd *hosts.Sshd, account string) error {
	why, patience := whyNot(err, account), sshd.Patience
	if sshd.WhyNot != nil && !errors.Is(err, errHostKey) {
		ctx, cancel := context.WithTimeout(context.Background(), whyNotTimeout)
		defer cancel()
		if known := sshd.WhyNot(ctx); known != "" {
			why, patience = known, 0
		}
	}
	for _, line := range wordsOf(banner) {
		why += "\n  " + line
	}
	return &hosts.Unreachable{Host: sshd.Host, Why: why, Cause: err, Patience: patience}
}

func whyNot(err error, account string) string {
	var differ *ssh.AlgorithmNegotiationError
	switch said := lastWords(err); {
	case errors.Is(err, errHostKey):
		return errHostKey.Error() + "; recreate the container or ask the box's owner"
	case errors.As(err, &differ):
		return "speaks no " + printable.Line(differ.What, maxWords) + " algorithm that the gateway knows; it offers " + printable.Line(strings.Join(differ.RequestedAlgorithms, ","), maxWords)
	case said != "":
		return "does not let the gateway in as " + account + ": its sshd says: " + said
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "has an sshd that hangs up on the gateway (is it overloaded, or does it refuse the gateway's address?)"
	default:
		return "does not let the gateway in as " + account + " (does its sshd trust the gateway's user CA?)"
	}
}

// lastWords are what the host said when it ended the connection (RFC 4253
// §11.1), or "". X/crypto tells it in an error's text alone.
func lastWords(err error) string {
	_, said, found := strings.Cut(err.Error(), "ssh: disconnect, reason ")
	if !found {
		return ""
	}
	_, said, _ = strings.Cut(said, ": ")
	return printable.Line(said, maxWords)
}

// wordsOf are the lines of a text that a host says.
func wordsOf(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if words := printable.Line(line, maxWords); words != "" && len(lines) < maxLines {
			lines = append(lines, words)
		}
	}
	return lines
}
