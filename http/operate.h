/* operate - /healthz, /readyz, /metrics, /problems, /openapi.json: for those who run it */
#pragma once

#include "http/exchange.h"

enum handled operate_alive(struct exchange *exchange);
enum handled operate_ready(struct exchange *exchange);
enum handled operate_metrics(struct exchange *exchange);
enum handled operate_problems(struct exchange *exchange);
enum handled operate_problem(struct exchange *exchange);
enum handled operate_openapi(struct exchange *exchange);
