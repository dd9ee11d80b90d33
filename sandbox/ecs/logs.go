package ecs

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	docker "github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// The options of awslogs (Docker's and ECS's documentation of the driver).
const (
	optionGroup  = "awslogs-group"         // /aws/batch/job by default
	optionRegion = "awslogs-region"        // the agent's; there is one Region here
	optionPrefix = "awslogs-stream-prefix" // the definition's name by default, of which 200 characters
	optionMode   = "mode"                  // blocking, or non-blocking: lines beyond the buffer are lost
	optionBuffer = "max-buffer-size"       // 10m by default; only without blocking
)

// Limits of PutLogEvents (CloudWatch Logs API reference). Each event counts 26
// bytes more than its text.
const (
	maxBatch      = 10_000
	maxBatchBytes = 1 << 20
	eventOverhead = 26
	maxLine       = 256<<10 - eventOverhead
)

// flushAfter is how long a line waits for others. The driver takes 5 seconds;
// on one's own machine nothing is gained by that wait.
const flushAfter = 250 * time.Millisecond

// stream writes one task's lines to its log stream.
type stream struct {
	name, group string
	client      *cloudwatchlogs.Client
	blocking    bool
	room        int // bytes of lines that may wait
	failed      func(error)
	alive       context.Context // ends with the host: lines that still wait are lost, as on AWS

	mu      sync.Mutex
	changed *sync.Cond
	waiting []types.InputLogEvent
	bytes   int
	closed  bool
	done    chan struct{}
}

// open makes the task's log stream. The driver does so before the container
// starts, and without it none does.
func (a *Agent) open(r *run) (*stream, *failure) {
	options := r.Container.LogConfiguration.Options
	cannot := func(err error) *failure {
		return &failure{"CannotStartContainerError", fmt.Errorf("Error response from daemon: failed to initialize logging driver: failed to create Cloudwatch log stream: %w", err)} //nolint:staticcheck // Docker's words
	}
	role, service, roles := r.Container.ExecutionRoleARN, taskService, r.roles
	if role == "" {
		var err error
		if role, err = a.hostRole(r.prepared, r.host); err != nil {
			return nil, cannot(err)
		}
		service, roles = hostService, r.host.roles
	}
	as := a.as(roles, role, service)
	as.Region = cmp.Or(options[optionRegion], as.Region)
	room, err := bufferSize(options[optionBuffer])
	if err != nil {
		return nil, cannot(err)
	}
	prefix := cmp.Or(options[optionPrefix], r.DefinitionName[:min(len(r.DefinitionName), 200)])
	s := &stream{
		name: prefix + "/default/" + r.ID, group: cmp.Or(options[optionGroup], "/aws/batch/job"),
		client:   cloudwatchlogs.NewFromConfig(as),
		alive:    r.alive,
		blocking: options[optionMode] != "non-blocking", room: room, done: make(chan struct{}),
		failed: func(err error) { a.log.Printf("log stream %s/default/%s: %v", prefix, r.ID, err) },
	}
	s.changed = sync.NewCond(&s.mu)
	if _, err := s.client.CreateLogStream(r.prepared, &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &s.group, LogStreamName: &s.name}); err != nil {
		return nil, cannot(err)
	}
	go s.write()
	return s, nil
}

// bufferSize reads "10m", "512k" or a number of bytes.
func bufferSize(text string) (int, error) {
	units := map[string]int{"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
	text = strings.ToLower(cmp.Or(text, "10m"))
	unit := text[len(text)-1:]
	factor, has := units[unit]
	if has {
		text = text[:len(text)-1]
	} else {
		factor = 1
	}
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 {
		return 0, fmt.Errorf("%q is no size: a number with k, m or g is", text)
	}
	return number * factor, nil
}

// attach connects to the output of a container that has not started. `docker
// logs --follow` can lose a last line without a line end.
func (a *Agent) attach(r *run) (docker.HijackedResponse, error) {
	output, err := a.docker.ContainerAttach(r.prepared, name(r.ID), container.AttachOptions{Stream: true, Stdout: true, Stderr: true})
	if err == nil {
		context.AfterFunc(r.alive, output.Close)
	}
	return output, err
}

// copyLog reads a container's output until it has ended.
func copyLog(output io.Reader, s *stream) error {
	stdout, stderr := &lines{to: s}, &lines{to: s}
	_, err := stdcopy.StdCopy(stdout, stderr, output)
	stdout.rest()
	stderr.rest()
	return err
}

// lines cuts output into lines, and lines that are too long for an event.
type lines struct {
	to   *stream
	left []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.left = append(l.left, b...)
	for {
		end := bytes.IndexByte(l.left, '\n')
		switch {
		case end >= 0 && end <= maxLine:
			l.to.add(string(bytes.TrimSuffix(l.left[:end], []byte("\r"))))
			l.left = l.left[end+1:]
		case len(l.left) > maxLine:
			cut := maxLine
			for back := 1; back < utf8.UTFMax && !utf8.RuneStart(l.left[cut]); back++ {
				cut-- // not within a letter
			}
			l.to.add(string(l.left[:cut]))
			l.left = l.left[cut:]
		default:
			return len(b), nil
		}
	}
}

func (l *lines) rest() {
	if len(l.left) > 0 {
		l.to.add(string(l.left))
		l.left = nil
	}
}

// add queues a line; CloudWatch takes no empty ones.
func (s *stream) add(line string) {
	if line == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.bytes+len(line) > s.room && len(s.waiting) > 0 {
		if !s.blocking {
			return
		}
		s.changed.Wait()
	}
	now := time.Now().UnixMilli()
	s.waiting = append(s.waiting, types.InputLogEvent{Message: &line, Timestamp: &now})
	s.bytes += len(line)
	s.changed.Broadcast()
}

// close writes the remaining lines.
func (s *stream) close() {
	s.mu.Lock()
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	<-s.done
}

// write sends lines as they come, until the stream is closed and empty.
func (s *stream) write() {
	defer close(s.done)
	for {
		s.mu.Lock()
		for len(s.waiting) == 0 && !s.closed {
			s.changed.Wait()
		}
		inHurry := s.closed || len(s.waiting) >= maxBatch || s.bytes >= maxBatchBytes
		s.mu.Unlock()
		if !inHurry {
			time.Sleep(flushAfter)
		}
		batch := s.take()
		if len(batch) == 0 {
			return
		}
		if err := s.put(batch); err != nil && s.alive.Err() == nil {
			s.failed(err)
		}
	}
}

// take returns as many of the waiting lines as one call may carry.
func (s *stream) take() []types.InputLogEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, size := 0, 0
	for count < min(len(s.waiting), maxBatch) {
		length := len(*s.waiting[count].Message)
		if size+length+eventOverhead > maxBatchBytes {
			break
		}
		size += length + eventOverhead
		s.bytes -= length
		count++
	}
	batch := s.waiting[:count:count]
	s.waiting = s.waiting[count:]
	s.changed.Broadcast()
	return batch
}

// put writes lines; the SDK retries if AWS throttles or fails.
func (s *stream) put(batch []types.InputLogEvent) error {
	ctx, cancel := context.WithTimeout(s.alive, 30*time.Second)
	defer cancel()
	_, err := s.client.PutLogEvents(ctx, &cloudwatchlogs.PutLogEventsInput{LogGroupName: &s.group, LogStreamName: &s.name, LogEvents: batch})
	return err
}
