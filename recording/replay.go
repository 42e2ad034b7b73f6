package recording

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxLine is the length, in bytes, of the longest line that can be read.
const maxLine = 16 << 20

// Replay shows a recording at its original speed times speed, with no pause longer
// than maxIdle. One that is unfinished or was cut is shown as far as it goes.
func Replay(ctx context.Context, from io.Reader, to io.Writer, speed float64, maxIdle time.Duration) error {
	lines, err := open(from)
	if err != nil {
		return err
	}
	var before float64
	for lines.Scan() {
		at, kind, data, err := parse(lines.Bytes())
		if err != nil {
			return err
		}
		pause := min(time.Duration((at-before)/speed*float64(time.Second)), maxIdle)
		before = at
		if kind != "o" {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		if _, err := io.WriteString(to, data); err != nil {
			return err
		}
	}
	return unlessCut(lines.Err())
}

// Cat writes a recording uncompressed, so that other players can read it.
func Cat(from io.Reader, to io.Writer) error {
	plain, err := gzip.NewReader(from)
	if err != nil {
		return fmt.Errorf("not a recording: %w", err)
	}
	_, err = io.Copy(to, plain)
	return unlessCut(err)
}

// open decompresses a recording and checks its header.
func open(from io.Reader) (*bufio.Scanner, error) {
	plain, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("not a recording: %w", err)
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, maxLine)
	lines.Split(wholeLines)
	var head header
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &head) != nil || head.Version != 2 {
		return nil, errors.Join(errors.New("not a recording: it does not begin as an asciicast of version 2"), lines.Err())
	}
	return lines, nil
}

// wholeLines is a bufio.SplitFunc that drops a last line without its end.
func wholeLines(data []byte, _ bool) (advance int, line []byte, err error) {
	return bufio.ScanLines(data, false)
}

func parse(line []byte) (at float64, kind, data string, err error) {
	event := []any{&at, &kind, &data}
	if err = json.Unmarshal(line, &event); err != nil {
		return 0, "", "", fmt.Errorf("the recording is broken: %w", err)
	}
	return at, kind, data, nil
}

func unlessCut(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
