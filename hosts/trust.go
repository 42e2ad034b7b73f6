package hosts

// Trust is what a host with an sshd knows of the gateway's user CAs. The zero value is
// one that trusts those which there are.
type Trust struct {
	Err       error // why it could not be told
	Later     bool  // it does not run, and is told when it does
	IsForeign bool  // it is not of Berth's image: whoever set up its sshd tells it
	IsOthers  bool  // it trusts another gateway's, and is told of none
}
