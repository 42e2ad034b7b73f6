package files

import (
	"maps"
	"slices"
	"sync"
)

// The kinds of packets that are looked at.
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
	openRead, openWrite = 1, 2 // flags of open

	// Bounds of what a client can have it hold: open files, data that was asked
	// for, other requests whose answer is awaited, and bytes of the paths of both.
	// Beyond them a file is told of before it is known how it ends, and data counts
	// for the file that was last asked of.
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
	asked        map[uint32]*openFile // reads, by their ids
	waiting      map[uint32]waiting
	last         *openFile // that was asked of
	paths        int       // bytes of those in open and waiting
}

// openFile is a file that a client has opened.
type openFile struct {
	path          string
	flags         uint32
	read, written uint64
}

// waiting is a request whose answer is awaited.
type waiting struct {
	opens *openFile // or else
	file  File
}

// NewSftp watches a session. It tells of files, and once, where that is so, that
// what goes by cannot be followed, and why.
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

// FromClient is told of what the client sends.
func (s *Sftp) FromClient(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client.feed(p)
}

// FromHost is told of what the host sends.
func (s *Sftp) FromHost(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.host.feed(p)
}

// End tells of files that are open, and of requests that were not answered.
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
	case typeWrite: // a host that fails to write says so, and the client stops
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

// change is what a request does that is about paths.
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
	case typeSymlink: // OpenSSH's order, which is not that of the draft
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
	if former := s.open[handle]; former != nil { // whose close was not seen
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

// await waits for a request's answer, or tells of it at once if many wait.
func (s *Sftp) await(id uint32, request waiting) {
	if former, isThere := s.take(id); isThere { // an id that is used twice
		s.cut(former)
	}
	if len(s.waiting) >= maxWaiting || s.paths+request.size() > maxPaths {
		s.cut(request)
		return
	}
	s.waiting[id] = request
	s.paths += request.size()
}

// take takes a request that waits.
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

// cut tells of a request whose answer is not awaited.
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
	if request.opens != nil { // a status is no handle
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

// done is what was done to a file: data went out of it, or into it, or both.
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
