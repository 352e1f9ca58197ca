# Prints a summary of what will be built at the end of the configure step.

set(summary "")
macro(ttsrt_summary_line name value)
    string(APPEND summary "\n  ${name}: ${value}")
endmacro()

if(TTSRT_SANITIZE)
    set(sanitizers "${TTSRT_SANITIZE}")
else()
    set(sanitizers none)
endif()
ttsrt_summary_line("compiler" "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}")
ttsrt_summary_line("target" "${CMAKE_SYSTEM_PROCESSOR}")
ttsrt_summary_line("Python module" "${TTSRT_BUILD_PYTHON}")
ttsrt_summary_line("tests" "${TTSRT_BUILD_TESTS}")
ttsrt_summary_line("sanitizers" "${sanitizers}")
ttsrt_summary_line("warnings are errors" "${TTSRT_WERROR}")
message(STATUS "ttsrt ${PROJECT_VERSION}${summary}")
