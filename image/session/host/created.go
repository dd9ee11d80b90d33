package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// createdLimit is how long the ECS agent may take to answer: the session's first event
// waits for it.
const createdLimit = time.Second

// Created returns when the container was created, by the ECS agent (Amazon ECS developer
// guide, "Task metadata endpoint version 4", the container's CreatedAt): after its image
// was pulled.
func Created(ctx context.Context, taskMetadata string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, createdLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, taskMetadata, http.NoBody)
	if err != nil {
		return time.Time{}, err
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return time.Time{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return time.Time{}, fmt.Errorf("the ECS agent answers %s", res.Status)
	}
	var container struct{ CreatedAt time.Time }
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&container); err != nil {
		return time.Time{}, fmt.Errorf("the ECS agent's answer: %w", err)
	}
	if container.CreatedAt.IsZero() {
		return time.Time{}, errors.New("the ECS agent's answer has no CreatedAt")
	}
	return container.CreatedAt, nil
}
