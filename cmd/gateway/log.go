package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/berth-ssh/berth/printable"
)

// The forms of a log.
const (
	logAuto = "auto" // text on a terminal, else JSON
	logText = "text"
	logJSON = "json"
)

// logging says how a gateway logs.
type logging struct {
	form, level string
	verbose     bool
}

func (l *logging) flags(flags *pflag.FlagSet) {
	flags.StringVar(&l.form, "log", l.form, "`form` of the log: text, json, or auto: text on a terminal, else json")
	flags.StringVar(&l.level, "log-level", l.level, "log messages of this `level` and above: debug, info, warn or error")
	flags.BoolVarP(&l.verbose, "verbose", "v", l.verbose, "log more: --log-level debug")
}

// args returns the flags that make another process of this program log in the same
// way.
func (l *logging) args() []string {
	level := l.level
	if l.verbose {
		level = "debug"
	}
	return []string{"--log", l.form, "--log-level", level}
}

// to returns the log: lines of key=value, with quotes where a value needs them, or of
// JSON.
func (l *logging) to(out io.Writer, onTerminal bool) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, fmt.Errorf("--log-level %s: debug, info, warn and error are known", l.level)
	}
	if l.verbose {
		level = slog.LevelDebug
	}
	options := &slog.HandlerOptions{Level: level}
	switch {
	case l.form == logText, l.form == logAuto && onTerminal:
		return slog.New(slog.NewTextHandler(out, options)), nil
	case l.form == logJSON, l.form == logAuto:
		return slog.New(slog.NewJSONHandler(asciiLines{out}, options)), nil
	}
	return nil, fmt.Errorf("--log %s: text, json and auto are known", l.form)
}

// asciiLines writes lines of JSON, one in each write, in ASCII, so that no text can
// control the terminal of a person who reads them.
type asciiLines struct{ out io.Writer }

// Write writes a line.
func (l asciiLines) Write(line []byte) (int, error) {
	if _, err := l.out.Write(printable.ASCII(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}
