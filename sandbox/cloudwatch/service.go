// Package cloudwatch is the sandbox's CloudWatch and CloudWatch Logs beyond moto: metric
// filters over arriving log events, metrics with their statistics and metric math, alarms
// with their messages, images of graphs, and Logs Insights queries. moto keeps log
// events, filters, alarms and dashboards. Anything that the sandbox can't evaluate as AWS
// does is refused by name when it is put.
//
// Behaviour and texts follow AWS's user guides and API references.
package cloudwatch

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/intraverse/dcv-sessions/sandbox/gateway"
)

// Config configures a Service.
type Config struct {
	Moto *url.URL

	// Admits returns an error unless a topic's policy lets CloudWatch take an action on
	// it for a source, an alarm's ARN.
	Admits func(ctx context.Context, service, source, action, resource string) error

	// Minute is the length of a minute in which alarms are evaluated: of their periods,
	// and between two evaluations. A real one on AWS.
	Minute time.Duration

	Now   func() time.Time
	NewID func() string // a UUID
	Logf  func(format string, args ...any)
}

// Service is CloudWatch. It is safe for concurrent use.
type Service struct {
	config Config
	store  store
	logs   *cloudwatchlogs.Client
	topics *sns.Client
	wake   chan struct{} // alarms are evaluated

	turn sync.Mutex // one change of alarms at a time, with the calls of moto that belong to it

	mu      sync.Mutex
	filters map[string][]*filter // by log group
	alarms  map[string]*alarm    // by name
	results []result             // of Insights queries, the oldest first
}

// New returns a Service, which evaluates alarms while Run runs.
func New(config Config) *Service {
	to := gateway.MotoConfig(config.Moto)
	return &Service{
		config: config, store: store{samples: map[string][]Sample{}}, logs: cloudwatchlogs.NewFromConfig(to), topics: sns.NewFromConfig(to),
		wake: make(chan struct{}, 1), filters: map[string][]*filter{}, alarms: map[string]*alarm{},
	}
}

// Behaviours returns the gateway's behaviours of CloudWatch and CloudWatch Logs.
func (s *Service) Behaviours() []gateway.Behaviour {
	metrics := map[string]gateway.Handler{"PutMetricAlarm": s.putMetricAlarm, "DeleteAlarms": s.deleteAlarms, "SetAlarmState": s.setAlarmState, "GetMetricWidgetImage": s.getMetricWidgetImage}
	for _, operation := range unsupported {
		metrics[operation] = func(*gateway.Call) (*http.Response, error) {
			return nil, gateway.Unsupported("the sandbox does not know CloudWatch's %s", operation)
		}
	}
	return []gateway.Behaviour{
		{Name: "metrics and alarms", Service: "monitoring", Answers: metrics},
		{Name: "metric filters", Service: "logs", Answers: map[string]gateway.Handler{
			"PutMetricFilter": s.putMetricFilter, "DeleteMetricFilter": s.deleteMetricFilter, "DeleteLogGroup": s.deleteLogGroup, "PutLogEvents": s.putLogEvents,
		}},
		{Name: "logs insights", Service: "logs", Answers: map[string]gateway.Handler{"StartQuery": s.startQuery, "GetQueryResults": s.getQueryResults}},
	}
}

// unsupported are operations that would have no effect here, or that moto would answer
// without the metrics.
var unsupported = []string{
	"DisableAlarmActions", "EnableAlarmActions", "GetMetricData", "GetMetricStatistics", "ListMetrics", "PutAlarmMuteRule", "PutAnomalyDetector",
	"PutCompositeAlarm", "PutInsightRule", "PutLogAlarm", "PutMetricData", "PutMetricStream",
}

// Put adds samples to a metric, as AWS's own services do without a call.
func (s *Service) Put(m Metric, samples ...Sample) {
	s.store.put(m, samples...)
	s.arrived()
}

func (s *Service) arrived() {
	select {
	case s.wake <- struct{}{}:
	default: // they will be
	}
}

// Run evaluates all alarms when data has arrived, and every minute, until the context
// ends. AWS evaluates each alarm once a minute.
func (s *Service) Run(ctx context.Context) {
	every := time.NewTicker(s.config.Minute)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-every.C:
		}
		s.Evaluate(ctx)
	}
}

// Evaluate evaluates all alarms now.
func (s *Service) Evaluate(ctx context.Context) {
	s.mu.Lock()
	names := slices.Sorted(maps.Keys(s.alarms))
	s.mu.Unlock()
	for _, name := range names {
		if err := s.evaluate(ctx, name); err != nil && ctx.Err() == nil {
			s.config.Logf("alarm %s: %v", name, err)
		}
	}
}

func (s *Service) evaluate(ctx context.Context, name string) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.mu.Lock()
	a := s.alarms[name]
	if a == nil { // it was deleted
		s.mu.Unlock()
		return nil
	}
	found := a.evaluate(&s.store, s.config.Now(), s.config.Minute)
	if found.state == a.state {
		s.mu.Unlock()
		return nil
	}
	changed := s.change(a, found)
	s.mu.Unlock()
	return s.announce(ctx, changed)
}

// change is an alarm's change of state, with its message.
type change struct {
	name, reason, subject, arn string
	state                      State
	topics                     []string
	message                    notification
}

// change sets an alarm's state. s.mu is locked.
func (s *Service) change(a *alarm, to evaluated) change {
	from := a.state
	a.state, a.reason, a.changed = to.state, to.reason, s.config.Now()
	return change{
		name: a.AlarmName, reason: a.reason, subject: a.subject(), arn: a.arn(), state: a.state,
		topics: a.actions(), message: a.notification(from),
	}
}

// announce has moto show the state, and sends the message to the alarm's topics.
func (s *Service) announce(ctx context.Context, c change) error {
	s.config.Logf("alarm %s is %s: %s", c.name, c.state, c.reason)
	if err := s.show(ctx, c.name, c.state, c.reason); err != nil {
		return err
	}
	for _, topic := range c.topics {
		if err := s.config.Admits(ctx, "cloudwatch.amazonaws.com", c.arn, "sns:Publish", topic); err != nil {
			return fmt.Errorf("its message is lost: %w", err)
		}
		if _, err := s.topics.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Subject: &c.subject, Message: aws.String(encode(c.message))}); err != nil {
			return fmt.Errorf("its message is lost: %w", err)
		}
	}
	return nil
}
