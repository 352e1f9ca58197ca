# Decides whether the TensorRT plugins are built (TTSRT_PLUGINS), and against which headers. AUTO builds them where the CUDA backend is
# built and headers are found; ON fails where something is missing; OFF builds none. One library for each major version whose
# headers TensorRT_ROOT lists; the library of no version is linked.

set(TTSRT_PLUGINS AUTO CACHE STRING "Build the TensorRT plugins: AUTO, ON or OFF")
set_property(CACHE TTSRT_PLUGINS PROPERTY STRINGS AUTO ON OFF)
set(ttsrt_plugin_modes AUTO ON OFF)
if(NOT TTSRT_PLUGINS IN_LIST ttsrt_plugin_modes)
    message(FATAL_ERROR "TTSRT_PLUGINS: expected AUTO, ON or OFF, got ${TTSRT_PLUGINS}")
endif()
option(
    TTSRT_BUILD_PLUGIN_TESTS
    "Build the tests of the plugins (needs TTSRT_CUDA and GoogleTest, no TensorRT and no GPU)"
    OFF
)

set(ttsrt_has_plugins OFF)
set(ttsrt_plugins_reason "TTSRT_PLUGINS is OFF")
if(NOT TTSRT_PLUGINS STREQUAL "OFF")
    if(NOT ttsrt_has_cuda)
        set(ttsrt_plugins_reason "there is no CUDA backend: ${ttsrt_cuda_reason}")
    else()
        find_package(TensorRT QUIET)
        if(TensorRT_FOUND)
            set(ttsrt_has_plugins ON)
        else()
            set(ttsrt_plugins_reason "there are no headers of TensorRT: set TensorRT_ROOT")
        endif()
    endif()
    if(TTSRT_PLUGINS STREQUAL "ON" AND NOT ttsrt_has_plugins)
        message(FATAL_ERROR "TTSRT_PLUGINS is ON, but ${ttsrt_plugins_reason}")
    endif()
endif()
if(TTSRT_BUILD_PLUGIN_TESTS AND NOT ttsrt_has_cuda)
    message(
        FATAL_ERROR
        "TTSRT_BUILD_PLUGIN_TESTS is ON, but there is no CUDA backend: ${ttsrt_cuda_reason}"
    )
endif()

# With the CUDA backend, the tests are those of the plugins, too.
set(ttsrt_tests_plugins ${TTSRT_BUILD_PLUGIN_TESTS})
if(TTSRT_BUILD_TESTS AND ttsrt_has_cuda)
    set(ttsrt_tests_plugins ON)
endif()
