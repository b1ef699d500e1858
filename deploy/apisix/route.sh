#!/bin/sh
# Puts the route of route.json into APISIX, by its Admin API. ADMIN_KEY must be set: the
# `deployment.admin.admin_key` of config.yaml. First: authgear-filter check --deny-warnings config.yaml route.json
set -eu
: "${ADMIN_KEY:?the admin key of APISIX}"
curl --fail-with-body -sS -X PUT "${ADMIN_URL:-http://127.0.0.1:9180}/apisix/admin/routes/app" \
    -H "X-API-KEY: $ADMIN_KEY" -H "Content-Type: application/json" \
    --data-binary "@$(dirname "$0")/route.json"
