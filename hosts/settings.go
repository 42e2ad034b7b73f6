package hosts

// Settings are what a configuration says of hosts: where they are found, and which
// it names itself.
type Settings struct {
	Docker   string // the engine of this machine, as in DOCKER_HOST; NoEngine: there is none
	Boxes    []Box
	Clusters []Cluster
	Entries  []Entry
}

// NoEngine is the address of an engine that there is not.
const NoEngine = "none"

// LocalBox is the box of this machine's own engine. No other box has this name.
const LocalBox = "local"

// Box is a computer with an engine whose containers are hosts, too.
type Box struct {
	Name   string
	Docker string // its engine: unix://, tcp:// or ssh://
	TLS    string // directory of ca.pem, cert.pem and key.pem, for tcp://; "": as docker finds them
}

// Cluster is a Kubernetes cluster whose pods are hosts, too. It is a box by name.
type Cluster struct {
	Name       string
	Kubeconfig string   // file; "": that of the cluster in which the gateway runs
	Context    string   // of that file; "": its current one
	Namespaces []string // whose pods; none: that of the context, or that the gateway runs in

	// Impersonate is the cluster's name of a person, with [PersonIn] where the gateway's is;
	// "": the cluster knows the gateway alone.
	Impersonate string
}

// PersonIn stands in a name for that of a person.
const PersonIn = "{user}"
