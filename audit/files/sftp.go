package files

import (
	"maps"
	"slices"
	"sync"
)

// The kinds of packets that are examined.
const (
	typeOpen     = 3
	typeClose    = 4
	typeRead     = 5
	typeWrite    = 6
	typeSetstat  = 9
	typeRemove   = 13
	typeMkdir    = 14
	typeRmdir    = 15
	typeRename   = 18
	typeSymlink  = 20
	typeStatus   = 101
	typeHandle   = 102
	typeData     = 103
	typeExtended = 200
)

const (
	openRead, openWrite = 1, 2 // flags of an open request

	// Limits of what a client can make the gateway keep: open files, reads and other
	// requests without an answer yet, and bytes of the paths of both. Beyond them a
	// file is reported before its result is known, and data is counted for the file
	// that was last read.
	maxFiles   = 1024
	maxAsked   = 4096
	maxWaiting = 256
	maxPaths   = 256 << 10
)

// Sftp watches an sftp session.
type Sftp struct {
	tell func(File)
	lost func(why string)

	mu           sync.Mutex
	client, host packets
	open         map[string]*openFile // by handle
	asked        map[uint32]*openFile // unanswered reads, by request id
	waiting      map[uint32]waiting
	last         *openFile // the file of the last read request
	paths        int       // bytes of the paths in open and waiting
}

// openFile is a file that a client has opened.
type openFile struct {
	path          string
	flags         uint32
	read, written uint64
}

// waiting is a request without an answer yet.
type waiting struct {
	opens *openFile // set for an open request; otherwise file is
	file  File
}

// NewSftp returns the watcher of an sftp session. It calls tell for each file. If it
// cannot follow the session any more, it calls lost once, with the reason.
func NewSftp(tell func(File), lost func(why string)) *Sftp {
	s := &Sftp{tell: tell, lost: lost, open: map[string]*openFile{}, asked: map[uint32]*openFile{}, waiting: map[uint32]waiting{}}
	s.client = packets{got: s.fromClient, lost: s.giveUp}
	s.host = packets{got: s.fromHost, lost: s.giveUp}
	return s
}

func (s *Sftp) giveUp(why string) {
	s.client.isOver, s.host.isOver = true, true
	s.lost(why)
}

// FromClient is given what the client sends.
func (s *Sftp) FromClient(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.feed(p)
}

// FromHost is given what the host sends.
func (s *Sftp) FromHost(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host.feed(p)
}

// End reports files that are open, and requests that were not answered.
func (s *Sftp) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, handle := range slices.Sorted(maps.Keys(s.open)) {
		s.close(s.open[handle], true)
	}
	for _, id := range slices.Sorted(maps.Keys(s.waiting)) {
		s.cut(s.waiting[id])
	}
	s.client.isOver, s.host.isOver = true, true
}

func (s *Sftp) fromClient(kind byte, body []byte) {
	f := &fields{rest: body}
	id := f.number()
	switch kind {
	case typeOpen:
		s.await(id, waiting{opens: &openFile{path: f.text(), flags: f.number()}})
	case typeClose:
		handle := f.text()
		if file := s.open[handle]; file != nil {
			delete(s.open, handle)
			s.paths -= len(file.path)
			s.close(file, false)
		}
	case typeRead:
		s.reads(id, s.open[f.text()])
	case typeWrite: // its answer is ignored: a client stops after a failed write
		if file := s.open[f.text()]; file != nil {
			f.skip(8)
			file.written += uint64(f.number())
		}
	default:
		if file, isOne := s.change(kind, f); isOne && !f.short {
			s.await(id, waiting{file: file})
		}
	}
}

// change returns what a request does to paths. isOne is false for other requests.
func (s *Sftp) change(kind byte, f *fields) (file File, isOne bool) {
	switch kind {
	case typeSetstat:
		return File{Action: Setstat, Path: f.text()}, true
	case typeRemove:
		return File{Action: Remove, Path: f.text()}, true
	case typeMkdir:
		return File{Action: Mkdir, Path: f.text()}, true
	case typeRmdir:
		return File{Action: Rmdir, Path: f.text()}, true
	case typeRename:
		return File{Action: Rename, Path: f.text(), To: f.text()}, true
	case typeSymlink: // OpenSSH sends the paths in another order than the draft
		to := f.text()
		return File{Action: Symlink, Path: f.text(), To: to}, true
	case typeExtended:
		return s.extendedChange(f.text(), f)
	}
	return File{}, false
}

func (s *Sftp) extendedChange(name string, f *fields) (file File, isOne bool) {
	switch name {
	case "posix-rename@openssh.com":
		return File{Action: Rename, Path: f.text(), To: f.text()}, true
	case "hardlink@openssh.com":
		return File{Action: Link, Path: f.text(), To: f.text()}, true
	case "lsetstat@openssh.com":
		return File{Action: Setstat, Path: f.text()}, true
	case "copy-data":
		from := s.open[f.text()]
		f.skip(16)
		if to := s.open[f.text()]; from != nil && to != nil {
			return File{Action: Copy, Path: from.path, To: to.path}, true
		}
	}
	return File{}, false
}

func (s *Sftp) fromHost(kind byte, body []byte) {
	f := &fields{rest: body}
	id := f.number()
	switch kind {
	case typeHandle:
		if request, isThere := s.take(id); isThere && request.opens != nil {
			s.opened(f.text(), request.opens)
		}
	case typeData:
		s.data(id, f.number())
	case typeStatus:
		s.answered(id, f.number() == 0)
	}
}

func (s *Sftp) opened(handle string, file *openFile) {
	if former := s.open[handle]; former != nil { // its close was not seen
		s.paths -= len(former.path)
		s.close(former, true)
	}
	if len(s.open) >= maxFiles || s.paths+len(file.path) > maxPaths {
		s.close(file, true)
		return
	}
	s.open[handle] = file
	s.paths += len(file.path)
}

// await keeps a request until its answer comes. If too many are kept, it reports the
// request at once.
func (s *Sftp) await(id uint32, request waiting) {
	if former, isThere := s.take(id); isThere { // the id is used twice
		s.cut(former)
	}
	if len(s.waiting) >= maxWaiting || s.paths+request.size() > maxPaths {
		s.cut(request)
		return
	}
	s.waiting[id] = request
	s.paths += request.size()
}

// take removes and returns the request with this id.
func (s *Sftp) take(id uint32) (request waiting, isThere bool) {
	request, isThere = s.waiting[id]
	delete(s.waiting, id)
	s.paths -= request.size()
	return request, isThere
}

func (w waiting) size() int {
	if w.opens != nil {
		return len(w.opens.path)
	}
	return len(w.file.Path) + len(w.file.To)
}

// cut reports a request whose answer is no longer awaited.
func (s *Sftp) cut(request waiting) {
	if request.opens != nil {
		s.close(request.opens, true)
		return
	}
	request.file.Cut = true
	s.tell(request.file)
}

func (s *Sftp) reads(id uint32, file *openFile) {
	if file == nil {
		return
	}
	s.last = file
	if len(s.asked) < maxAsked {
		s.asked[id] = file
	}
}

func (s *Sftp) data(id, length uint32) {
	file := s.asked[id]
	delete(s.asked, id)
	if file == nil {
		file = s.last
	}
	if file != nil {
		file.read += uint64(length)
	}
}

func (s *Sftp) answered(id uint32, ok bool) {
	delete(s.asked, id)
	request, isThere := s.take(id)
	if !isThere {
		return
	}
	if request.opens != nil { // an open request is answered by a status only if it failed
		for _, file := range request.opens.done() {
			file.Failed = true
			s.tell(file)
		}
		return
	}
	request.file.Failed = !ok
	s.tell(request.file)
}

func (s *Sftp) close(file *openFile, cut bool) {
	for _, done := range file.done() {
		done.Cut = cut
		s.tell(done)
	}
}

// done returns what was done to a file: a download, an upload, or both.
func (f *openFile) done() []File {
	var all []File
	if f.read > 0 || f.flags&openRead != 0 && f.flags&openWrite == 0 {
		all = append(all, File{Action: Download, Path: f.path, Bytes: f.read})
	}
	if f.written > 0 || f.flags&openWrite != 0 && f.read == 0 {
		all = append(all, File{Action: Upload, Path: f.path, Bytes: f.written})
	}
	return all
}
