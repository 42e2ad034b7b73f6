package main

// Labels on what provision makes. They are its only memory: there is no state
// file beside the engine.
const (
	labelProject   = "berth.project"
	labelService   = "berth.service"
	labelConfig    = "berth.config"       // what the container was made from, as facts
	labelImage     = "berth.image"        // id of the image it was made from
	labelCPUs      = "berth.reserve.cpus" // in nano CPUs; the engine keeps no CPU reservation
	labelGPUMemory = "berth.reserve.gpu"  // bytes on each of its GPUs, where it shares them
)

// labelPinned marks a container whose cpuset is its own.
const labelPinned = "berth.reserve.cpuset"

// Labels by which docker compose knows what it made.
const (
	labelComposeProject = "com.docker.compose.project"
	labelComposeService = "com.docker.compose.service"
)
