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

	maxWords = 200 // runes of a line of a host's text
	maxLines = 20
)

var errHostKey = errors.New("shows another host key than the one pinned to it")

// whyNotTimeout bounds the search for the reason why an sshd refused the gateway. The
// person waits meanwhile.
const whyNotTimeout = 5 * time.Second

// refusedBySshd returns the error for a host whose sshd has refused the gateway. It
// gives the reason, and ends with the sshd's banner, which its owner wrote for people
// who log in.
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

// lastWords returns the host's text from its disconnect message (RFC 4253 §11.1), or
// "". x/crypto has it only in its error's text.
func lastWords(err error) string {
	_, said, found := strings.Cut(err.Error(), "ssh: disconnect, reason ")
	if !found {
		return ""
	}
	_, said, _ = strings.Cut(said, ": ")
	return printable.Line(said, maxWords)
}

// wordsOf returns the lines of a host's text, made safe to show.
func wordsOf(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if words := printable.Line(line, maxWords); words != "" && len(lines) < maxLines {
			lines = append(lines, words)
		}
	}
	return lines
}
