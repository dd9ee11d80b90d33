package gateway

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// budgetsKept answers operations that moto's Budgets lacks. The provider reads
// subscribers and tags at every refresh, retries an unknown operation for many
// minutes, and changes a budget by UpdateBudget.
func budgetsKept() Behaviour {
	b := &budgetMemory{known: map[budgetKey]*budget{}}
	return Behaviour{Name: "budgets", Service: "budgets", Answers: map[string]Handler{
		"CreateBudget":                       b.create,
		"DescribeBudget":                     b.describe,
		"UpdateBudget":                       b.update,
		"DeleteBudget":                       b.delete,
		"CreateNotification":                 b.notify,
		"DeleteNotification":                 b.silence,
		"DescribeSubscribersForNotification": b.subscribers,
		"ListTagsForResource":                b.tags,
		"TagResource":                        b.tag,
		"UntagResource":                      b.untag,
	}}
}

type budgetMemory struct {
	mu    sync.Mutex
	known map[budgetKey]*budget
}

type budgetKey struct{ account, name string }

type budget struct {
	changed     map[string]any         // the last UpdateBudget's
	subscribers map[notification][]any // each {SubscriptionType, Address}
	tags        map[string]string
}

// notification identifies one of a budget's notifications.
type notification struct {
	NotificationType, ComparisonOperator, ThresholdType string
	Threshold                                           float64
}

type subscribedNotification struct {
	Notification notification
	Subscribers  []any
}

type resourceTag struct{ Key, Value string }

// budgetsInput has the members of all these operations.
type budgetsInput struct {
	AccountID  string `json:"AccountId"`
	BudgetName string
	Budget     struct{ BudgetName string }
	NewBudget  map[string]any
	subscribedNotification
	NotificationsWithSubscribers []subscribedNotification
	ResourceARN                  string
	ResourceTags                 []resourceTag
	ResourceTagKeys              []string
}

// key returns the budget that a call names, in any of the three ways.
func (in budgetsInput) key() budgetKey {
	name := in.BudgetName + in.Budget.BudgetName
	if changed, ok := in.NewBudget["BudgetName"].(string); ok {
		name = changed
	}
	// arn:aws:budgets::ACCOUNT:budget/NAME
	if parts := strings.SplitN(in.ResourceARN, ":", 6); len(parts) == 6 {
		return budgetKey{parts[4], strings.TrimPrefix(parts[5], "budget/")}
	}
	return budgetKey{in.AccountID, name}
}

// normal returns the notification with its default type, so that one notification has
// one key.
func (n notification) normal() notification {
	if n.ThresholdType == "" {
		n.ThresholdType = "PERCENTAGE"
	}
	return n
}

// after forwards a call and, if it succeeds, calls do.
func (b *budgetMemory) after(c *Call, do func(in budgetsInput)) (*http.Response, error) {
	var in budgetsInput
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil || !succeeded(res) {
		return res, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	do(in)
	return res, nil
}

// instead answers a call about an existing budget without moto.
func (b *budgetMemory) instead(c *Call, do func(in budgetsInput, of *budget) (any, error)) (*http.Response, error) {
	var in budgetsInput
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	of, known := b.known[in.key()]
	if !known {
		return nil, badRequest("NotFoundException", "Unable to get budget: %s - the budget doesn't exist.", in.key().name)
	}
	out, err := do(in, of)
	if err != nil {
		return nil, err
	}
	return answerJSON(c, http.StatusOK, out), nil
}

func (b *budgetMemory) create(c *Call) (*http.Response, error) {
	return b.after(c, func(in budgetsInput) {
		of := &budget{subscribers: map[notification][]any{}, tags: map[string]string{}}
		for _, n := range in.NotificationsWithSubscribers {
			of.subscribers[n.Notification.normal()] = n.Subscribers
		}
		for _, tag := range in.ResourceTags {
			of.tags[tag.Key] = tag.Value
		}
		b.known[in.key()] = of
	})
}

func (b *budgetMemory) delete(c *Call) (*http.Response, error) {
	return b.after(c, func(in budgetsInput) { delete(b.known, in.key()) })
}

func (b *budgetMemory) notify(c *Call) (*http.Response, error) {
	return b.after(c, func(in budgetsInput) {
		if of, known := b.known[in.key()]; known {
			of.subscribers[in.Notification.normal()] = in.Subscribers
		}
	})
}

func (b *budgetMemory) silence(c *Call) (*http.Response, error) {
	return b.after(c, func(in budgetsInput) {
		if of, known := b.known[in.key()]; known {
			delete(of.subscribers, in.Notification.normal())
		}
	})
}

func (b *budgetMemory) subscribers(c *Call) (*http.Response, error) {
	return b.instead(c, func(in budgetsInput, of *budget) (any, error) {
		subscribers, known := of.subscribers[in.Notification.normal()]
		if !known {
			return nil, badRequest("NotFoundException", "Unable to get subscribers - the notification doesn't exist.")
		}
		return map[string]any{"Subscribers": subscribers}, nil
	})
}

func (b *budgetMemory) update(c *Call) (*http.Response, error) {
	return b.instead(c, func(in budgetsInput, of *budget) (any, error) {
		of.changed = in.NewBudget
		return struct{}{}, nil
	})
}

func (b *budgetMemory) describe(c *Call) (*http.Response, error) {
	var in budgetsInput
	if err := c.JSON(&in); err != nil {
		return nil, err
	}
	res, err := c.Forward()
	if err != nil {
		return nil, err
	}
	return EditJSON(res, func(answer map[string]any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		shown, _ := answer["Budget"].(map[string]any)
		if of, known := b.known[in.key()]; known && shown != nil {
			maps.Copy(shown, of.changed)
		}
	})
}

func (b *budgetMemory) tags(c *Call) (*http.Response, error) {
	return b.instead(c, func(_ budgetsInput, of *budget) (any, error) {
		tags := []resourceTag{}
		for _, key := range slices.Sorted(maps.Keys(of.tags)) {
			tags = append(tags, resourceTag{key, of.tags[key]})
		}
		return map[string]any{"ResourceTags": tags}, nil
	})
}

func (b *budgetMemory) tag(c *Call) (*http.Response, error) {
	return b.instead(c, func(in budgetsInput, of *budget) (any, error) {
		for _, tag := range in.ResourceTags {
			of.tags[tag.Key] = tag.Value
		}
		return struct{}{}, nil
	})
}

func (b *budgetMemory) untag(c *Call) (*http.Response, error) {
	return b.instead(c, func(in budgetsInput, of *budget) (any, error) {
		for _, key := range in.ResourceTagKeys {
			delete(of.tags, key)
		}
		return struct{}{}, nil
	})
}
