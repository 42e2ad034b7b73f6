package apply

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// trace parses a message of BuildKit: its API's StatusResponse. Only the steps
// (there: vertexes) and their output are used.
func (b *buildLog) trace(text json.RawMessage) {
	const vertex, log = 1, 3
	var message []byte
	if json.Unmarshal(text, &message) != nil {
		return
	}
	for number, value := range fields(message) {
		switch number {
		case vertex:
			b.vertex(value)
		case log:
			b.log(value)
		}
	}
}

// vertex parses what BuildKit says about a step, which it repeats whenever the step
// changes.
func (b *buildLog) vertex(message []byte) {
	const digest, name, started, failure = 1, 3, 5, 7
	said := maps.Collect(fields(message))
	s := b.step(string(said[digest]))
	s.name, s.err = string(said[name]), string(said[failure])
	if said[started] != nil {
		b.say(s.name)
	}
}

func (b *buildLog) log(message []byte) {
	const vertex, text = 1, 4
	said := maps.Collect(fields(message))
	b.write(b.step(string(said[vertex])), string(said[text]))
}

func (b *buildLog) step(digest string) *buildStep {
	i := slices.IndexFunc(b.steps, func(s *buildStep) bool { return s.digest == digest })
	if i < 0 {
		i = len(b.steps)
		b.steps = append(b.steps, &buildStep{digest: digest})
	}
	return b.steps[i]
}

// failed returns the step that a build's last message is about, or nil. For the
// classic builder it is the last step.
func (b *buildLog) failed(message string) *buildStep {
	for _, s := range slices.Backward(b.steps) {
		if s.digest == "" || s.err != "" && strings.Contains(message, s.err) {
			return s
		}
	}
	return nil
}

// fields returns the fields of a protobuf message that hold bytes, by their numbers.
func fields(message []byte) iter.Seq2[protowire.Number, []byte] {
	return func(yield func(protowire.Number, []byte) bool) {
		for len(message) > 0 {
			number, kind, tag := protowire.ConsumeTag(message)
			if tag < 0 {
				return
			}
			size := protowire.ConsumeFieldValue(number, kind, message[tag:])
			if size < 0 {
				return
			}
			value, n := protowire.ConsumeBytes(message[tag:])
			if kind == protowire.BytesType && (n < 0 || !yield(number, value)) {
				return
			}
			message = message[tag+size:]
		}
	}
}
