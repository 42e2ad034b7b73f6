package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/apply"
)

const watchPeriod = 2 * time.Second

func gpusCommand(o *options) *cobra.Command {
	var asJSON, watch bool
	command := &cobra.Command{
		Use:   "gpus",
		Short: "List the GPUs: who holds each, and whose processes are on it now",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !watch {
				return showGPUs(cmd.Context(), onBox{*o}, cmd.OutOrStdout(), asJSON)
			}
			return watchGPUs(cmd.Context(), onBox{*o}, cmd.OutOrStdout(), asJSON)
		},
	}
	command.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	command.Flags().BoolVar(&watch, "watch", false, "show them again every 2 seconds, until Ctrl-C")
	return command
}

func watchGPUs(ctx context.Context, b onBox, out io.Writer, asJSON bool) error {
	for {
		if !asJSON && isTerminal(os.Stdout) {
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		}
		if err := showGPUs(ctx, b, out, asJSON); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(watchPeriod):
		}
	}
}

// showGPUs lists the GPUs. If this box's engine does not answer, it shows them
// without their holders, and returns an error that says so.
func showGPUs(ctx context.Context, b onBox, out io.Writer, asJSON bool) error {
	engine, unanswered := b.engine(ctx)
	var states []box.DeviceState
	var err error
	switch {
	case unanswered == nil:
		defer engine.Close()
		states, err = apply.ObserveDevices(ctx, engine.Client)
	case b.engineIsHere():
		states, err = box.Read(ctx, box.Engine{}).DeviceStates(nil)
	default:
		return unanswered
	}
	if err != nil {
		return err
	}
	if err := writeGPUs(out, states, asJSON); err != nil || unanswered == nil {
		return err
	}
	return fmt.Errorf("who holds the GPUs is not known: %w", unanswered)
}

func writeGPUs(out io.Writer, states []box.DeviceState, asJSON bool) error {
	if asJSON {
		text, err := json.MarshalIndent(states, "", "  ")
		if err == nil {
			_, err = fmt.Fprintf(out, "%s\n", printable.ASCII(text))
		}
		return err
	}
	text := "no NVIDIA GPU here\n"
	if len(states) > 0 {
		text = gpuTable(states, time.Now(), isTerminal(os.Stdout))
	}
	_, err := io.WriteString(out, text)
	return err
}

// gpuTable returns a line for each device, red if others than its holder use it.
func gpuTable(states []box.DeviceState, now time.Time, colours bool) string {
	rows := [][]string{{"GPU", "UUID", "MODEL", "MEMORY", "BUSY", "TEMP", "HOLDER", "SINCE", "PROCESSES"}}
	for _, s := range states {
		rows = append(rows, gpuRow(s, now))
	}
	lines := strings.SplitAfter(table(rows), "\n")
	for i, s := range states {
		if colours && s.IsForeign() {
			lines[i+1] = "\x1b[31m" + strings.TrimSuffix(lines[i+1], "\n") + "\x1b[0m\n"
		}
	}
	return strings.Join(lines, "")
}

func gpuRow(s box.DeviceState, now time.Time) []string {
	model := s.Model
	if s.MIG != "" {
		model = "MIG " + s.MIG
	}
	if s.Recovery != "" {
		model += ", needs a " + strings.ToLower(s.Recovery)
	}
	var holders, since, processes []string
	if s.Holders == nil {
		holders = []string{"not known"}
	}
	for _, h := range s.Holders {
		holders = append(holders, holderText(h))
		since = append(since, units.HumanDuration(now.Sub(h.Since)))
	}
	for _, p := range s.Processes {
		processes = append(processes, processText(p))
	}
	return []string{
		s.Index, s.UUID, model, memoryText(s), unit(s.Utilisation, "%"), unit(s.Temperature, "°C"),
		listed(holders), listed(since), listed(processes),
	}
}

func holderText(h box.DeviceHolder) string {
	text := h.Container + " (not provision's)"
	if h.Project != "" {
		text = h.Host + " (" + h.Project + ")"
	}
	if h.Budget > 0 {
		text += " " + box.Bytes(h.Budget)
	}
	return text
}

func processText(p box.DeviceProcess) string {
	text := fmt.Sprintf("%s %d", box.Program(p.Name), p.PID)
	if login := loginText(p); login != "" {
		text += " " + login
	}
	switch {
	case p.Container == "" && p.Foreign:
		text += " (in no container)"
	case p.Host == "" && p.Container != "":
		text += " in " + p.Container
	}
	return text
}

// loginText returns what is known of user+account@host, in the form of a login.
func loginText(p box.DeviceProcess) string {
	text := strings.Trim(p.User+"+"+p.Account, "+")
	switch {
	case p.Host == "" || text == "":
		return text + p.Host
	case p.Account == "":
		return text + "+" + p.Host
	}
	return text + "@" + p.Host
}

func memoryText(s box.DeviceState) string {
	if s.MemoryUsed < 0 {
		return box.Bytes(s.Memory)
	}
	return box.Bytes(s.MemoryUsed) + " of " + box.Bytes(s.Memory)
}

func unit(n int, unit string) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n) + unit
}

func listed(texts []string) string {
	if len(texts) == 0 {
		return "-"
	}
	return strings.Join(texts, ", ")
}
