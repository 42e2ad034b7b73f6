package harness

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Record is a line of the gateway's log: the message under msg, and the attributes
// under their names.
type Record map[string]string

// Log returns everything that the gateway has logged.
func (g *Gateway) Log(t *testing.T) string {
	t.Helper()
	return Read(t, g.logFile)
}

// Records returns the records of the log, in order. It leaves out lines that are
// none, such as a stack.
func (g *Gateway) Records(t *testing.T) []Record {
	t.Helper()
	var records []Record
	for line := range strings.Lines(g.Log(t)) {
		if r := parseRecord(line); r["msg"] != "" {
			records = append(records, r)
		}
	}
	return records
}

// parseRecord parses a line of slog's text handler.
func parseRecord(line string) Record {
	r := Record{}
	if !strings.HasSuffix(line, "\n") { // half a line
		return r
	}
	for _, found := range regexp.MustCompile(`(\w+)=("(?:[^"\\]|\\.)*"|\S*)`).FindAllStringSubmatch(line, -1) {
		value := found[2]
		if plain, err := strconv.Unquote(value); err == nil {
			value = plain
		}
		if _, there := r[found[1]]; !there {
			r[found[1]] = value
		}
	}
	return r
}

// AwaitRecord waits for a record with this message, and returns the first one; nil if
// the gateway has ended without one.
func (g *Gateway) AwaitRecord(t *testing.T, message string) Record {
	t.Helper()
	var found Record
	Eventually(t, "the gateway logs "+message, func() bool {
		ended := IsClosed(g.Ended)
		for _, r := range g.Records(t) {
			if r["msg"] == message {
				found = r
				return true
			}
		}
		return ended
	})
	return found
}

// Connections returns how many connections the gateway has.
func (g *Gateway) Connections(t *testing.T) int {
	t.Helper()
	count := 0
	for _, r := range g.Records(t) {
		switch r["msg"] {
		case "logged in", "not logged in":
			count++
		case "closed":
			count--
		}
	}
	return count
}
