package plan

import (
	"path"
	"slices"
	"strings"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
)

// ImageConfig has those settings of an image for its containers that matter to a
// plan.
type ImageConfig struct {
	Env        []string
	Entrypoint []string
	Cmd        []string
}

// fit returns what is wanted, completed by what the images decide if the files do
// not. Nothing is known of an image that does not exist yet; the plan is made again
// when it does.
func (o Observed) fit(want compose.Wanted) compose.Wanted {
	want.Services = slices.Clone(want.Services)
	for i, s := range want.Services {
		if config, here := o.ImageConfigs[s.Image.Ref]; here {
			want.Services[i] = config.fit(s, o.Box)
		}
	}
	return want
}

func (c ImageConfig) fit(s compose.Service, b box.Box) compose.Service {
	s.GPUs = c.gpus(s, b)
	if !s.GPUs.None() {
		s.Config.Env = slices.DeleteFunc(slices.Clone(s.Config.Env), func(entry string) bool { return entry == compose.EnvVisible+"=void" })
	}
	if s.DefaultInit && c.isInit(s) {
		no := false
		s.HostConfig.Init = &no
	}
	return s
}

// gpus returns what a service asks for. If the files name the NVIDIA runtime and
// leave the rest to the image, it includes what the image asks that runtime for.
func (c ImageConfig) gpus(s compose.Service, b box.Box) compose.GPUs {
	asks := s.GPUs
	if asks.Silent && s.HostConfig.Runtime == "nvidia" && len(asks.Nodes) == 0 {
		asks.IDs = compose.VisibleDevices(c.Env)
		if slices.Contains(asks.IDs, "all") {
			asks.Count, asks.IDs = ledger.Every, nil
		}
	}
	if value := compose.Variable(c.Env, compose.EnvCapabilities); value != "" && compose.Variable(s.Config.Env, compose.EnvCapabilities) == "" {
		asks.Capabilities = slices.Concat(asks.Capabilities, compose.DriverCapabilities(value))
	}
	return asks
}

// isInit reports whether the container's program is itself an init, which must be
// process 1, so that no other may run before it.
func (c ImageConfig) isInit(s compose.Service) bool {
	command := slices.Concat(s.Config.Entrypoint, s.Config.Cmd)
	if len(s.Config.Entrypoint) == 0 {
		arguments := s.Config.Cmd
		if len(arguments) == 0 {
			arguments = c.Cmd
		}
		command = slices.Concat(c.Entrypoint, arguments)
	}
	if len(command) == 0 {
		return false
	}
	program := command[0]
	return program == "/init" || program == "/sbin/init" || program == "/usr/sbin/init" ||
		slices.Contains([]string{"systemd", "s6-svscan", "s6-linux-init", "runit-init"}, path.Base(program)) ||
		strings.HasSuffix(program, "/lib/systemd/systemd")
}
