/* smooth: a task in C. It reads and writes lines of JSON, as tasks/command.py tells, one for each entity:

       {"entity": "hull", "date": "...", "level": [1.2, 1.4, null, 1.5]}    an hour each, oldest first
       {"entity": "hull", "value": {"level": 1.47, "rise": 0.09, "next": 1.56}}

   Holt's linear smoothing: the level, how much it rises an hour, and the level that is expected in an hour. An hour
   without a value is taken as it was expected; without any value at all there is no observation. */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const double LEVEL = 0.5, RISE = 0.3; /* how much the newest value counts */

typedef struct {
    double level, rise;
    bool begun;
} Smooth;

static void take(Smooth *state, double value) {
    if (!state->begun) {
        *state = (Smooth){value, 0.0, true};
        return;
    }
    const double expected = state->level + state->rise;
    const double level = LEVEL * value + (1 - LEVEL) * expected;
    state->rise = RISE * (level - state->level) + (1 - RISE) * state->rise;
    state->level = level;
}

static json_t *smooth(const json_t *values) {
    Smooth state = {0};
    size_t hour;
    json_t *value;
    json_array_foreach(values, hour, value) {
        if (json_is_number(value)) {
            take(&state, json_number_value(value));
        } else if (state.begun) {
            state.level += state.rise;
        }
    }
    if (!state.begun) {
        return json_null();
    }
    return json_pack("{s:f, s:f, s:f}", "level", state.level, "rise", state.rise, "next", state.level + state.rise);
}

static json_t *answer(const json_t *request) {
    json_t *entity = json_object_get(request, "entity"), *values = json_object_get(request, "level");
    if (!json_is_array(values)) {
        return json_pack("{s:O, s:s}", "entity", entity, "error", "level is no list: it wants a window");
    }
    return json_pack("{s:O, s:o}", "entity", entity, "value", smooth(values));
}

int main(void) {
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, stdin) > 0) {
        json_error_t error;
        json_t *request = json_loads(line, 0, &error);
        if (!json_is_string(json_object_get(request, "entity"))) {
            fprintf(stderr, "smooth: this is no request: %s", line);
            return EXIT_FAILURE;
        }
        json_t *answered = answer(request);
        json_dumpf(answered, stdout, JSON_COMPACT);
        putchar('\n');
        fflush(stdout); /* what was answered counts, whatever comes next */
        json_decref(answered);
        json_decref(request);
    }
    free(line);
    return EXIT_SUCCESS;
}
