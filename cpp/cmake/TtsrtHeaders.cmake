# ttsrt_keep_headers(target): copies the headers of an imported target into the build directory and makes the target use the copy.
# pip installs the requirements of a build into a new temporary folder each time. With headers from there, every compile command and
# every header's time would change, and all files would be recompiled although nothing changed. Does nothing without TTSRT_KEEP_HEADERS.
function(ttsrt_keep_headers target)
    get_target_property(folder ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT TTSRT_KEEP_HEADERS OR NOT folder MATCHES "/site-packages/")
        return() # the system's headers have a lasting path
    endif()
    string(MAKE_C_IDENTIFIER "${target}" name)
    set(kept "${CMAKE_BINARY_DIR}/headers/${name}")
    execute_process(
        COMMAND "${CMAKE_COMMAND}" -E copy_directory_if_different "${folder}" "${kept}"
        COMMAND_ERROR_IS_FATAL ANY
    )
    set_target_properties(
        ${target}
        PROPERTIES
            INTERFACE_INCLUDE_DIRECTORIES "${kept}"
            INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${kept}"
    )
endfunction()
