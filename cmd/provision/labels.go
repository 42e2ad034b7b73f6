package main

// Labels on what provision makes. They are its only memory: there is no state
// file beside the engine.
const (
	labelProject = "berth.project"
	labelService = "berth.service"
	labelConfig  = "berth.config"       // hash of what the container was made from
	labelImage   = "berth.image"        // id of the image it was made from
	labelCPUs    = "berth.reserve.cpus" // in nano CPUs; the engine keeps no CPU reservation
)
