package config

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/auth"
)

// grants reads the hosts of a user or group: for each name, pattern, project or label
// an account, a list of accounts, or a mapping with more.
func (d *document) grants(n *yaml.Node) map[string]auth.Grant {
	grants := make(map[string]auth.Grant)
	if n != nil && n.Kind != yaml.MappingNode {
		d.wrong(n.Line, "hosts must be a mapping; write a line for each host, \"master: developer\", or \"master:\" for its own account")
		return grants
	}
	d.each(n, "hosts", func(host, value *yaml.Node) {
		if err := auth.CheckSelector(host.Value); err != nil {
			d.wrong(host.Line, "host: %v", err)
		}
		grant := d.grant(value)
		grant.Line = fmt.Sprintf("%s:%d", d.path, host.Line)
		grants[host.Value] = grant
	})
	return grants
}

func (d *document) grant(n *yaml.Node) auth.Grant {
	switch {
	case n == nil:
		return auth.Grant{}
	case n.Kind == yaml.SequenceNode:
		return auth.Grant{Accounts: d.accounts(n)}
	case n.Kind == yaml.MappingNode:
		return d.wholeGrant(n)
	}
	return auth.GrantAccount(d.account(n))
}

func (d *document) wholeGrant(n *yaml.Node) auth.Grant {
	given := d.fields(n, "a grant", "accounts", "restrict", "shell", "exec", "sftp", "local_forwards", "remote_forwards",
		"streamlocal", "agent", "x11", "until", "from", "sessions", "record")
	grant := auth.Grant{
		Accounts:     d.accounts(given["accounts"]),
		Restrictions: d.restrictions(given),
		Until:        d.until(given["until"]),
		From:         d.networks(given["from"], "from"),
		Sessions:     d.number(given["sessions"], "sessions", 1000),
		Record:       d.yes(given["record"], "record", false),
	}
	if sftp := given["sftp"]; sftp != nil && (grant.NoSftp || grant.LimitsSftp()) && (!grant.NoShell || !grant.NoExec && grant.Commands == nil) {
		d.warn(sftp.Line, "sftp: %s keeps nobody from other files by a shell or a command; add shell: no and exec: no", sftpOf(grant))
	}
	return grant
}

// accounts reads one account or a list of them; the first one is the default.
func (d *document) accounts(n *yaml.Node) []string {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []string{d.name(n, "account")}
	}
	var accounts []string
	d.list(n, "accounts", func(item *yaml.Node) { accounts = append(accounts, d.name(item, "account")) })
	if len(accounts) == 0 && n.Kind == yaml.SequenceNode {
		d.wrong(n.Line, "accounts is empty; leave it out for the host's own account")
	}
	return accounts
}

// restrictions reads what a grant allows. What it does not mention is allowed, or
// forbidden with restrict: yes.
func (d *document) restrictions(given map[string]*yaml.Node) auth.Restrictions {
	r := auth.Restrictions{}
	if d.yes(given["restrict"], "restrict", false) {
		r = auth.RestrictAll()
	}
	r.NoShell = !d.yes(given["shell"], "shell", !r.NoShell)
	r.NoStreamlocal = !d.yes(given["streamlocal"], "streamlocal", !r.NoStreamlocal)
	r.NoAgent = !d.yes(given["agent"], "agent", !r.NoAgent)
	r.NoX11 = !d.yes(given["x11"], "x11", !r.NoX11)
	r.NoExec, r.Commands = d.commands(given["exec"], r.NoExec)
	d.sftp(given["sftp"], &r)
	r.NoLocal, r.Open = d.destinations(given["local_forwards"], "local_forwards", r.NoLocal)
	r.NoRemote, r.Listen = d.destinations(given["remote_forwards"], "remote_forwards", r.NoRemote)
	return r
}

func (d *document) yes(n *yaml.Node, what string, missing bool) bool {
	return d.yesOr(n, what, "", missing)
}

// yesOr reads yes or no, where another kind of value is possible, too.
func (d *document) yesOr(n *yaml.Node, what, other string, missing bool) bool {
	text, ok := d.text(n, what)
	if !ok {
		return missing
	}
	switch text {
	case "yes", "true":
		return true
	case "no", "false":
		return false
	}
	if other != "" {
		d.wrong(n.Line, "%s must be yes, no or %s", what, other)
		return missing
	}
	d.wrong(n.Line, "%s must be yes or no", what)
	return missing
}

func (d *document) commands(n *yaml.Node, missing bool) (none bool, commands []string) {
	if n == nil || n.Kind != yaml.SequenceNode {
		return !d.yesOr(n, "exec", "a list of commands, such as [make test]", !missing), nil
	}
	d.list(n, "exec", func(item *yaml.Node) {
		if command, ok := d.text(item, "a command of exec"); ok {
			commands = append(commands, command)
		}
	})
	return len(commands) == 0, commands
}

// sftp reads yes, no, read-only, or a mapping with more.
func (d *document) sftp(n *yaml.Node, r *auth.Restrictions) {
	switch {
	case n == nil:
	case n.Kind == yaml.MappingNode:
		given := d.fields(n, "sftp", "directory", "read_only")
		r.NoSftp, r.ReadOnlySftp = false, d.yes(given["read_only"], "read_only", false)
		r.SftpDirectory = d.sftpDirectory(n, given["directory"])
	case n.Value == "read-only":
		r.NoSftp, r.ReadOnlySftp = false, true
	case !slices.Contains([]string{"yes", "no", "true", "false"}, n.Value):
		d.wrong(n.Line, "sftp must be yes, no, read-only, or {directory: /path, read_only: yes}")
	default:
		r.NoSftp = !d.yes(n, "sftp", !r.NoSftp)
	}
}

// sftpDirectory reads the directory to which sftp is limited.
func (d *document) sftpDirectory(sftp, n *yaml.Node) string {
	directory, isThere := d.text(n, "directory of sftp")
	switch {
	case n != nil && !isThere: // an error was reported for it
	case n == nil:
		d.wrong(sftp.Line, "sftp needs a directory here; without one it is yes, no or read-only")
	case !filepath.IsAbs(directory) || filepath.Clean(directory) != directory || strings.ContainsFunc(directory, unicode.IsControl):
		d.wrong(n.Line, "directory of sftp must be an absolute path in the host, such as /data/anna, without . and ..")
	case directory == "/":
		d.wrong(n.Line, "directory of sftp: / is everything; leave it out")
	}
	return directory
}

func (d *document) destinations(n *yaml.Node, what string, missing bool) (none bool, list []auth.Destination) {
	if n == nil || n.Kind != yaml.SequenceNode {
		return !d.yesOr(n, what, "a list of host:port, such as [\"localhost:8888\"]", !missing), nil
	}
	d.list(n, what, func(item *yaml.Node) {
		text, ok := d.text(item, "a destination of "+what)
		if !ok {
			return
		}
		destination, err := auth.ParseDestination(text)
		if err != nil {
			d.wrong(item.Line, "%s: %v", what, err)
		}
		list = append(list, destination)
	})
	return len(list) == 0, list
}

// until reads the time when a grant ends. A date alone is the end of that day, in
// this machine's time zone.
func (d *document) until(n *yaml.Node) time.Time {
	text, ok := d.text(n, "until")
	if !ok {
		return time.Time{}
	}
	end, err := time.Parse(time.RFC3339, text)
	if day, dayErr := time.ParseInLocation(time.DateOnly, text, time.Local); dayErr == nil {
		end, err = day.AddDate(0, 0, 1), nil
	}
	if err != nil {
		d.wrong(n.Line, "until must be a day or a time, such as 2030-12-31 or 2030-12-31T18:00:00+01:00")
		return time.Time{}
	}
	if !time.Now().Before(end) {
		d.warn(n.Line, "this grant has ended already; remove it or change until")
	}
	return end
}

// networks reads one network or a list of them. It never returns nil for an invalid
// list, since that would mean all networks.
func (d *document) networks(n *yaml.Node, what string) []netip.Prefix {
	if n == nil {
		return nil
	}
	list := []netip.Prefix{}
	read := func(item *yaml.Node) {
		text, ok := d.text(item, "a network of "+what)
		if !ok {
			return
		}
		network, err := parseNetwork(text)
		if err != nil {
			d.wrong(item.Line, "%.64q of %s is not a network; write 10.0.0.0/8, 2001:db8::/32 or one address", text, what)
		}
		list = append(list, network)
	}
	if n.Kind == yaml.ScalarNode {
		read(n)
	} else {
		d.list(n, what, read)
	}
	return list
}

func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		address = address.Unmap()
		return address.Prefix(address.BitLen())
	}
	network, err := netip.ParsePrefix(text)
	if err == nil && network != network.Masked() {
		err = errors.New("it is an address of a network")
	}
	return network, err
}

func (d *document) number(n *yaml.Node, what string, most int) int {
	text, ok := d.text(n, what)
	if !ok {
		return 0
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > most {
		d.wrong(n.Line, "%s must be a number from 1 to %d; leave it out for no limit", what, most)
		return 0
	}
	return number
}
