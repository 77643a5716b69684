{{/*
"yes" where an object of the Prometheus operator is wanted: always (true), never (false), or where
its CRD is there (auto). Call with (list . .Values.monitoring.podMonitor.enabled "PodMonitor").
*/}}
{{- define "tunegate.wantsMonitor" -}}
{{- $wish := index . 1 | toString -}}
{{- $kind := printf "monitoring.coreos.com/v1/%s" (index . 2) -}}
{{- if or (eq $wish "true") (and (eq $wish "auto") ((index . 0).Capabilities.APIVersions.Has $kind)) }}yes{{ end }}
{{- end }}

{{- define "tunegate.agentIsMonitored" -}}
{{- if and .Values.agent.enabled (include "tunegate.agentPort" . | int) -}}
{{- include "tunegate.wantsMonitor" (list . .Values.monitoring.podMonitor.enabled "PodMonitor") }}
{{- end }}
{{- end }}

{{- define "tunegate.webhookIsMonitored" -}}
{{- if .Values.webhook.enabled -}}
{{- include "tunegate.wantsMonitor" (list . .Values.monitoring.serviceMonitor.enabled "ServiceMonitor") }}
{{- end }}
{{- end }}

{{/*
Annotations of a pod for the usual scrape job; none where a monitor finds it already (auto), or it
would be scraped twice. Call with (list . PORT IS_MONITORED).
*/}}
{{- define "tunegate.scrapeAnnotations" -}}
{{- $wish := (index . 0).Values.monitoring.annotations | toString -}}
{{- $port := index . 1 | int -}}
{{- if and $port (or (eq $wish "true") (and (eq $wish "auto") (not (index . 2)))) -}}
prometheus.io/scrape: "true"
prometheus.io/port: {{ $port | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end }}

{{/* The groups of files/alerts.yaml that this installation can feed. */}}
{{- define "tunegate.alertGroups" -}}
{{- $root := . -}}
{{- $wish := .Values.monitoring.prometheusRule -}}
{{- $keys := join "|" .Values.gate.taints | replace "." "[.]" -}}
{{- $groups := list -}}
{{- range (.Files.Get "files/alerts.yaml" | fromYaml).groups -}}
{{- $part := trimPrefix "tunegate-" .name -}}
{{- if or (eq $part "vllm") (dig $part "enabled" true $root.Values.AsMap) -}}
{{- $rules := list -}}
{{- range .rules -}}
{{- if not (has .alert $wish.disabled) -}}
{{- $_ := set . "expr" (regexReplaceAll "key=~\"[^\"]*\"" .expr (printf "key=~%q" $keys)) -}}
{{- $_ := set .annotations "runbook_url" (printf "%s/%s.md" (trimSuffix "/" $wish.runbookUrl) .alert) -}}
{{- $_ := set . "labels" (merge .labels (default dict $wish.ruleLabels)) -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- if $rules -}}
{{- $groups = append $groups (dict "name" .name "rules" $rules) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{ toYaml $groups }}
{{- end }}
