{{/* Sentences about values that may hurt, as a JSON list: what happens, and what to set instead. */}}
{{- define "tunegate.warnings" -}}
{{- $found := list -}}
{{- $agent := .Values.agent -}}
{{- $config := default dict $agent.config -}}
{{- $webhook := .Values.webhook -}}

{{- if not $agent.enabled -}}
{{- $found = append $found "agent.enabled is false: nothing opens the gate, so every node that registers with its taint stays closed." -}}
{{- end -}}
{{- if .Values.mutatingAdmissionPolicy.enabled -}}
{{- $found = append $found "mutatingAdmissionPolicy.enabled is true: pods that do not plainly run `vllm serve` are left as they are, and none gets a preStop drain: requests that run when a pod ends are lost." -}}
{{- else if not $webhook.enabled -}}
{{- $found = append $found "webhook.enabled is false: vLLM pods get no tolerations, probes, drain or /dev/shm." -}}
{{- else if not $webhook.hooks.pods -}}
{{- $found = append $found "webhook.hooks.pods is false: nothing is injected into vLLM pods." -}}
{{- end -}}

{{- if $agent.enabled -}}
{{- $hasList := include "tunegate.keepsStorageList" . -}}
{{- $isNamed := or (dig "storage" "endpoints" list $config) (dig "storage" "endpointsFile" "" $config) (dig "links" "include" list $config) -}}
{{- if not (or $hasList $isNamed) -}}
{{- $found = append $found "no NFS server is known before the first mount: new nodes become degraded (NoStorageEndpoint) with their MTU as it was. Set agent.config.storage.endpoints, or let the webhook keep the list." -}}
{{- end -}}
{{- if eq (dig "gate" "onFailed" "hold" $config) "open" -}}
{{- $found = append $found "agent.config.gate.onFailed is open: pods start on nodes whose network could not be made safe." -}}
{{- end -}}
{{- if eq (dig "gate" "onDegraded" "open" $config) "hold" -}}
{{- $found = append $found "agent.config.gate.onDegraded is hold: a node below target stays closed and is paid for; after 15 minutes cluster-autoscaler counts it as broken. gate.deadlineSeconds sets an end." -}}
{{- end -}}
{{- if not $agent.ownNodePolicy.enabled -}}
{{- $found = append $found "agent.ownNodePolicy.enabled is false: whoever takes over one agent can write labels, taints and cordons of every node." -}}
{{- end -}}
{{- $toleratesAll := false -}}
{{- range $agent.tolerations -}}
{{- if and (eq (default "Equal" .operator) "Exists") (not .key) (not .effect) -}}{{- $toleratesAll = true -}}{{- end -}}
{{- end -}}
{{- if not $toleratesAll -}}
{{- $found = append $found "agent.tolerations does not tolerate every taint: a GPU node with another one gets no agent and stays closed." -}}
{{- end -}}
{{- if not (or $agent.gpuLabels $agent.nodeSelector $agent.affinity) -}}
{{- $found = append $found "agent.gpuLabels is empty and there is no selector: agents run on, and tune, every Linux node." -}}
{{- else if and $agent.affinity (not $agent.nodeSelector) (not (dig "requiredDuringSchedulingIgnoredDuringExecution" dict (default dict $agent.affinity.nodeAffinity))) -}}
{{- $found = append $found "agent.affinity replaces gpuLabels and requires nothing of a node: agents run on, and tune, every Linux node." -}}
{{- end -}}
{{- if dig "limits" "cpu" "" (default dict $agent.resources) -}}
{{- $found = append $found "agent.resources.limits.cpu is set: throttling lengthens the time that each new node is closed." -}}
{{- end -}}
{{- end -}}

{{- $hasStartupKey := false -}}
{{- range .Values.gate.taints -}}
{{- if hasPrefix "startup-taint.cluster-autoscaler.kubernetes.io/" . -}}{{- $hasStartupKey = true -}}{{- end -}}
{{- end -}}
{{- if not $hasStartupKey -}}
{{- $found = append $found "gate.taints has no key that begins with startup-taint.cluster-autoscaler.kubernetes.io/: with any other one cluster-autoscaler never scales the pool up from zero, or buys a second node." -}}
{{- end -}}

{{- if and $webhook.enabled (eq .Release.Namespace "default") -}}
{{- $found = append $found "the release is in namespace default, and pods of a release's own namespace are never injected: install it in a namespace of its own, or let no vLLM pod run here." -}}
{{- end -}}
{{- if and $webhook.enabled (eq (int $webhook.replicas) 1) (not $webhook.autoscaling.enabled) -}}
{{- $found = append $found "webhook.replicas is 1: pods that are created while it restarts are left as they are." -}}
{{- end -}}
{{- if and $webhook.enabled $webhook.hostNetwork .Values.networkPolicy.enabled -}}
{{- $found = append $found "networkPolicy.enabled beside webhook.hostNetwork makes no policy: none holds on a node's own network, so the webhook's ports can be reached from everywhere." -}}
{{- end -}}
{{- $budget := $webhook.podDisruptionBudget -}}
{{- if and $webhook.enabled $budget.enabled (eq (trimSuffix "%" (toString $budget.maxUnavailable)) "0") -}}
{{- $found = append $found "webhook.podDisruptionBudget.maxUnavailable is 0: no node with a replica can be drained." -}}
{{- end -}}
{{- with $webhook.certificates -}}
{{- if and $webhook.enabled .existingSecret (not .caBundle) -}}
{{- $found = append $found "webhook.certificates.caBundle is empty beside existingSecret: unless something else writes caBundle, no API server trusts the webhook, and pods are left as they are." -}}
{{- end -}}
{{- end -}}
{{- if not .Values.uninstall.enabled -}}
{{- $found = append $found "uninstall.enabled is false: helm uninstall leaves taints, labels, condition and annotation on the nodes, and closed nodes stay closed. `kubectl tunegate uninstall` clears them." -}}
{{- end -}}
{{ $found | toJson }}
{{- end }}
